#include "bench/stats/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "base/hashing.h"
#include "bench/stats/distributions.h"

namespace nvllm::bench {

namespace {

std::vector<double> resampled_statistics(std::span<const double> boots, const Statistic& statistic,
                                         const BootstrapOptions& options) {
  std::vector<double> out;
  std::vector<double> resample(boots.size());
  std::uint64_t counter = 0;
  for (std::int64_t draw = 0; draw < options.draws; ++draw) {
    for (double& value : resample) {
      const double u = random_uniform(options.seed, counter++);
      value = boots[static_cast<std::size_t>(u * static_cast<double>(boots.size()))];
    }
    out.push_back(statistic(resample));
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// Efron's a: a sixth of the skewness of the jackknife, or zero where leaving out a boot changes
/// nothing.
double acceleration(std::span<const double> boots, const Statistic& statistic) {
  std::vector<double> without;
  double mean = 0;
  for (std::size_t left_out = 0; left_out < boots.size(); ++left_out) {
    std::vector<double> rest(boots.begin(), boots.end());
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(left_out));
    without.push_back(statistic(rest));
    mean += without.back() / static_cast<double>(boots.size());
  }
  double squares = 0;
  double cubes = 0;
  for (const double value : without) {
    squares += (mean - value) * (mean - value);
    cubes += (mean - value) * (mean - value) * (mean - value);
  }
  return squares == 0 ? 0 : cubes / (6 * std::pow(squares, 1.5));
}

/// Linear between the two neighbours; `share` in 0..1.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

/// Share of the draws below the estimate, equal ones by half, kept off 0 and 1 by half a draw.
double share_below(const std::vector<double>& sorted, double estimate) {
  const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), estimate);
  const auto draws = static_cast<double>(sorted.size());
  const double below =
      static_cast<double>(first - sorted.begin()) + 0.5 * static_cast<double>(last - first);
  return std::clamp(below / draws, 0.5 / draws, 1 - 0.5 / draws);
}

}  // namespace

Interval bca_interval(std::span<const double> boots, const Statistic& statistic,
                      const BootstrapOptions& options) {
  NVLLM_CHECK_LE(2u, boots.size());
  NVLLM_CHECK_LE(100, options.draws);
  NVLLM_CHECK(options.level > 0 && options.level < 1);
  const std::vector<double> sorted = resampled_statistics(boots, statistic, options);
  const double bias = normal_quantile(share_below(sorted, statistic(boots)));
  const double a = acceleration(boots, statistic);
  const auto adjusted = [&](double share) {
    const double z = bias + normal_quantile(share);
    const double slack = 1 - a * z;
    // Past the pole of the transformation the whole tail belongs to the interval.
    if (slack <= 0) return z > 0 ? 1.0 : 0.0;
    return normal_cdf(bias + z / slack);
  };
  const double tail = (1 - options.level) / 2;
  return {.low = quantile(sorted, adjusted(tail)), .high = quantile(sorted, adjusted(1 - tail))};
}

Interval two_level_interval(std::span<const std::vector<double>> boots,
                            const BootstrapOptions& options) {
  NVLLM_CHECK_LE(2u, boots.size());
  NVLLM_CHECK_LE(100, options.draws);
  NVLLM_CHECK(options.level > 0 && options.level < 1);
  for (const std::vector<double>& boot : boots) NVLLM_CHECK(!boot.empty());
  std::uint64_t counter = 0;
  const auto draw_index = [&](std::size_t size) {
    return static_cast<std::size_t>(random_uniform(options.seed, counter++) *
                                    static_cast<double>(size));
  };
  std::vector<double> means;
  for (std::int64_t draw = 0; draw < options.draws; ++draw) {
    double sum_of_boots = 0;
    for (std::size_t i = 0; i < boots.size(); ++i) {
      const std::vector<double>& boot = boots[draw_index(boots.size())];
      double sum = 0;
      for (std::size_t j = 0; j < boot.size(); ++j) sum += boot[draw_index(boot.size())];
      sum_of_boots += sum / static_cast<double>(boot.size());
    }
    means.push_back(sum_of_boots / static_cast<double>(boots.size()));
  }
  std::sort(means.begin(), means.end());
  const double tail = (1 - options.level) / 2;
  return {.low = quantile(means, tail), .high = quantile(means, 1 - tail)};
}

}  // namespace nvllm::bench
