#include "bench/stats/clusters.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "base/check.h"

namespace nvllm::bench {

PairedSummary summarise_clusters(std::span<const std::vector<double>> clusters) {
  NVLLM_CHECK_LE(2u, clusters.size());
  double sum = 0;
  double samples = 0;
  for (const std::vector<double>& cluster : clusters) {
    NVLLM_CHECK(!cluster.empty());
    sum += std::accumulate(cluster.begin(), cluster.end(), 0.0);
    samples += static_cast<double>(cluster.size());
  }
  const double mean = sum / samples;
  double squares = 0;
  for (const std::vector<double>& cluster : clusters) {
    double residual = 0;
    for (const double sample : cluster) residual += sample - mean;
    squares += residual * residual;
  }
  const auto count = static_cast<double>(clusters.size());
  PairedSummary summary;
  summary.rounds = static_cast<std::int64_t>(clusters.size());
  summary.mean = mean;
  summary.standard_error = std::sqrt(count / (count - 1) * squares) / samples;
  summary.sd = summary.standard_error * std::sqrt(count);
  summary.df = count - 1;
  return summary;
}

double weighted_median(std::span<const double> values, std::span<const double> weights) {
  NVLLM_CHECK_EQ(values.size(), weights.size());
  std::vector<std::size_t> order;
  double total = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    NVLLM_CHECK_LE(0.0, weights[i]);
    total += weights[i];
    if (weights[i] > 0) order.push_back(i);
  }
  NVLLM_CHECK_LT(0.0, total);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  double reached = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    reached += weights[order[rank]];
    if (2 * reached == total && rank + 1 < order.size())
      return (values[order[rank]] + values[order[rank + 1]]) / 2;
    if (2 * reached > total) return values[order[rank]];
  }
  return values[order.back()];
}

}  // namespace nvllm::bench
