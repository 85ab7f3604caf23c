#pragma once

#include <optional>
#include <vector>

#include "bench/rules/hypothesis.h"

namespace nvllm::bench {

/// The hypotheses of a sweep are one family: each one's p is adjusted by Holm, and one that its own
/// test alone would have decided, but the family does not, becomes unknown.
///   Returns: adjusted p, in order; nothing where a hypothesis has several comparisons or no p.
std::vector<std::optional<double>> apply_holm(std::vector<HypothesisResult>& hypotheses);

}  // namespace nvllm::bench
