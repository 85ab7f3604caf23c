#include "bench/stats/multiple_tests.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "bench/stats/distributions.h"

namespace nvllm::bench {

namespace {

/// Indices of the p-values, smallest first; equal ones keep their order.
std::vector<std::size_t> ascending(std::span<const double> p_values) {
  for (const double p : p_values) NVLLM_CHECK(p >= 0 && p <= 1);
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  return order;
}

}  // namespace

std::vector<double> holm(std::span<const double> p_values) {
  const std::vector<std::size_t> order = ascending(p_values);
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const auto left = static_cast<double>(order.size() - rank);
    largest = std::max(largest, std::min(1.0, left * p_values[order[rank]]));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

std::vector<double> benjamini_hochberg(std::span<const double> p_values) {
  const std::vector<std::size_t> order = ascending(p_values);
  std::vector<double> adjusted(p_values.size());
  const auto total = static_cast<double>(order.size());
  double smallest = 1;
  for (std::size_t rank = order.size(); rank-- > 0;) {
    smallest = std::min(smallest, p_values[order[rank]] * total / static_cast<double>(rank + 1));
    adjusted[order[rank]] = smallest;
  }
  return adjusted;
}

double sign_test_p(SignCounts counts) {
  NVLLM_CHECK(counts.positive >= 0 && counts.negative >= 0);
  const std::int64_t total = counts.positive + counts.negative;
  if (total == 0) return 1;
  return std::min(
      1.0, 2 * binomial_cdf({.count = std::min(counts.positive, counts.negative), .trials = total},
                            0.5));
}

}  // namespace nvllm::bench
