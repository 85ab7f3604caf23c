#pragma once

#include <optional>
#include <vector>

#include "bench/analysis/comparison.h"
#include "bench/analysis/gates.h"
#include "bench/rules/verdict.h"

namespace nvllm::bench {

/// Everything the verdict rests on, for verdict.json.
///   Shapes: hypotheses in the sweep's order, each with its p adjusted for the family.
Json verdict_json(const Sweep& sweep, const Verdict& verdict, const std::vector<HypothesisResult>& hypotheses,
                  const std::vector<std::optional<double>>& p_holm, const Registration& registration);

/// "CONFIRMED", "PROVISIONAL" or "INCONCLUSIVE": how far the verdict may be trusted.
std::string verdict_state(const Verdict& verdict);

}  // namespace nvllm::bench
