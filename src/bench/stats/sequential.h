#pragma once

// Looking early costs. A plan that may add rounds up to a declared maximum spends its alpha over
// the looks, almost all of it at the last one.

#include <span>
#include <vector>

namespace nvllm::bench {

/// The alpha (two-sided) spent once a share of the planned information is in. Each side spends its
/// half, 2 - 2 Phi(z / sqrt(share)) with z the normal quantile of 1 - alpha/4, as the published
/// bounds do.
///   Errors: aborts unless 0 < alpha < 1 and 0 < share <= 1.
///   Source: Lan and DeMets 1983, the spending function like O'Brien and Fleming's.
double spent_alpha(double alpha, double information_share);

/// The two-sided p at or below which each look rejects, so that all looks together keep alpha.
///   Shapes: `information_shares` rising, each in (0, 1]; one result per look.
///   Cost:   looks x 1e6; a plan has a handful.
///   Errors: aborts where a share is not at least 0.001 above the one before, or there are more
///           than 20.
///   Source: Armitage, McPherson and Rowe 1969: the joint density of the statistics, carried from
///           look to look. Levels hold for normal statistics, and for a t-test read as a p-value
///           approximately.
std::vector<double> look_levels(double alpha, std::span<const double> information_shares);

}  // namespace nvllm::bench
