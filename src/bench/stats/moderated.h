#pragma once

// Few rounds, many kernels: a kernel's own variance from three boots is mostly luck. Shrinking it
// toward the variances of its class buys degrees of freedom. Shown beside the plain t, never
// instead of it.

#include <span>
#include <vector>

#include "bench/stats/equivalence.h"

namespace nvllm::bench {

/// The logarithmic derivative of the gamma function and its derivative, for x > 0.
double digamma(double x);
double trigamma(double x);

/// Variances after shrinkage, and the class they were shrunk toward.
struct ModeratedVariances {
  double prior_variance = 0;
  double prior_df = 0;            ///< kInfiniteDf where the variances differ no more than chance
  std::vector<double> variances;  ///< one per kernel
  std::vector<double> dfs;        ///< own plus prior
};

/// Shrinks sample variances toward their class by empirical Bayes.
///   Shapes: `variances` and `dfs` have the same length, at least 2.
///   Errors: aborts on other shapes, a negative variance, or df <= 0.
///   Source: Smyth 2004, section 6 (scaled F fitted by the moments of log variances); variances
///           below 1e-5 of the median are raised to it, since the logarithm of zero says nothing.
ModeratedVariances moderate(std::span<const double> variances, std::span<const double> dfs);

/// `summary` with the moderated variance and its degrees of freedom in place of its own.
PairedSummary moderated_summary(const PairedSummary& summary, double variance, double df);

}  // namespace nvllm::bench
