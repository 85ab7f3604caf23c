#include "bench/analysis/family.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/stats/multiple_tests.h"

namespace nvllm::bench {

namespace {

/// p of the side on which the data lie; nothing for counts, which are compared and not tested. A comparison's own p looks toward the claim only, so that
/// of a refuted one is near 1; "==" and "!=" look both ways already.
std::optional<double> deciding_p(const HypothesisResult& hypothesis) {
  if (hypothesis.comparisons.size() != 1 || !hypothesis.comparisons[0].p) return std::nullopt;
  const ComparisonResult& comparison = hypothesis.comparisons[0];
  if (comparison.standard_error == 0.0) return std::nullopt;
  const bool both_ways = comparison.interval_level > 1 - 1.5 * hypothesis.alpha;
  return both_ways ? *comparison.p : std::min(*comparison.p, 1 - *comparison.p);
}

}  // namespace

std::vector<std::optional<double>> apply_holm(std::vector<HypothesisResult>& hypotheses) {
  std::vector<double> p;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < hypotheses.size(); ++i) {
    const auto one = deciding_p(hypotheses[i]);
    if (!one) continue;
    p.push_back(*one);
    places.push_back(i);
  }
  std::vector<std::optional<double>> adjusted(hypotheses.size());
  const std::vector<double> family = holm(p);
  for (std::size_t i = 0; i < places.size(); ++i) {
    HypothesisResult& hypothesis = hypotheses[places[i]];
    adjusted[places[i]] = family[i];
    if (hypothesis.truth == Truth::kUnknown || family[i] <= hypothesis.alpha) continue;
    hypothesis.truth = hypothesis.comparisons[0].truth = Truth::kUnknown;
    hypothesis.comparisons[0].unknown_because =
        fmt::format("p = {:.3g} becomes {:.3g} among {} hypotheses (Holm)", p[i], family[i], p.size());
  }
  return adjusted;
}

}  // namespace nvllm::bench
