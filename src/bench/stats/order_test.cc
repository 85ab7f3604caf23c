#include "bench/stats/order_test.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/hashing.h"

namespace nvllm::bench {

namespace {

void check_shapes(std::span<const std::vector<double>> legs) {
  NVLLM_CHECK_LE(2u, legs.size());
  NVLLM_CHECK(!legs.front().empty());
  for (const std::vector<double>& leg : legs) NVLLM_CHECK_EQ(leg.size(), legs.front().size());
}

std::vector<double> differences(std::span<const double> lower, std::span<const double> upper) {
  std::vector<double> out;
  for (std::size_t round = 0; round < lower.size(); ++round)
    out.push_back(upper[round] - lower[round]);
  return out;
}

}  // namespace

OrderTest test_order(std::span<const std::vector<double>> legs, std::span<const OrderStep> steps,
                     const OrderOptions& options) {
  check_shapes(legs);
  NVLLM_CHECK_EQ(steps.size() + 1, legs.size());
  OrderTest test{.gaps = {}, .p = 0};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::vector<double> gaps = differences(legs[i], legs[i + 1]);
    OrderGap gap;
    gap.summary = options.borrowed_boot_sigma
                      ? summarise_borrowed(gaps, *options.borrowed_boot_sigma)
                      : summarise(gaps);
    gap.interval = mean_interval(gap.summary, 1 - 2 * options.alpha);
    gap.p = steps[i].relation == Relation::kLess ? positive_p(gap.summary)
                                                 : tost_p(gap.summary, std::log1p(steps[i].margin));
    test.p = std::max(test.p, gap.p);
    test.gaps.push_back(gap);
  }
  return test;
}

double joint_order_probability(std::span<const std::vector<double>> legs,
                               const ResampleOptions& options) {
  check_shapes(legs);
  NVLLM_CHECK_LT(0, options.draws);
  const std::size_t rounds = legs.front().size();
  std::uint64_t counter = 0;
  std::int64_t in_order = 0;
  std::vector<double> sums(legs.size());
  for (std::int64_t draw = 0; draw < options.draws; ++draw) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (std::size_t i = 0; i < rounds; ++i) {
      const auto round = static_cast<std::size_t>(random_uniform(options.seed, counter++) *
                                                  static_cast<double>(rounds));
      for (std::size_t leg = 0; leg < legs.size(); ++leg) sums[leg] += legs[leg][round];
    }
    if (std::adjacent_find(sums.begin(), sums.end(), [](double a, double b) { return !(a < b); }) ==
        sums.end()) {
      ++in_order;
    }
  }
  return static_cast<double>(in_order) / static_cast<double>(options.draws);
}

std::vector<double> log_gap_ratios(const GapRounds& candidate, const GapRounds& baseline) {
  NVLLM_CHECK_EQ(candidate.lower.size(), candidate.upper.size());
  NVLLM_CHECK_EQ(candidate.lower.size(), baseline.lower.size());
  NVLLM_CHECK_EQ(candidate.lower.size(), baseline.upper.size());
  std::vector<double> ratios;
  for (std::size_t round = 0; round < candidate.lower.size(); ++round) {
    const double candidate_gap = candidate.upper[round] - candidate.lower[round];
    const double baseline_gap = baseline.upper[round] - baseline.lower[round];
    if (!(candidate_gap > 0) || !(baseline_gap > 0)) return {};
    ratios.push_back(std::log(candidate_gap / baseline_gap));
  }
  return ratios;
}

}  // namespace nvllm::bench
