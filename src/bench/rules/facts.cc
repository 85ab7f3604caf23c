#include "bench/rules/facts.h"

#include <cmath>
#include <utility>

#include "base/check.h"
#include "bench/stats/equivalence.h"

namespace nvllm::bench {

Fact fact_from_interval(const Quantity& estimate, Interval interval, double level, Grade grade) {
  NVLLM_CHECK(level > 0 && level < 1);
  NVLLM_CHECK_LE(interval.low, interval.high);
  Fact fact;
  fact.estimate = estimate;
  fact.standard_error = (interval.high - interval.low) / 2 / -normal_quantile((1 - level) / 2);
  fact.grade = grade;
  return fact;
}

Fact unknown_fact(const QuantityUnit& unit, std::string reason) {
  NVLLM_CHECK(!reason.empty());
  Fact fact;
  fact.estimate = {.value = 0, .unit = unit};
  fact.unknown_because = std::move(reason);
  return fact;
}

Fact fact_from_rounds(std::vector<double> rounds, const QuantityUnit& unit, Grade grade) {
  const PairedSummary summary = summarise(rounds);
  Fact fact;
  fact.estimate = {.value = summary.mean, .unit = unit};
  fact.standard_error = summary.standard_error;
  fact.df = summary.df;
  fact.rounds = std::move(rounds);
  fact.grade = grade;
  return fact;
}

}  // namespace nvllm::bench
