#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "bench/stats/interval.h"

namespace nvllm::bench {

/// A number made from one sample per boot.
using Statistic = std::function<double(std::span<const double>)>;

struct BootstrapOptions {
  std::int64_t draws = 10'000;
  std::uint64_t seed = 42;
  double level = 0.90;
};

/// Bias-corrected and accelerated bootstrap interval, resampling whole boots. Below 8 boots it is
/// not to be trusted; the caller decides whether to show it. The same options give the same bits.
///   Cost:   draws calls of `statistic`.
///   Errors: aborts below two samples or 100 draws.
///   Source: Efron 1987; acceleration from the jackknife.
Interval bca_interval(std::span<const double> boots, const Statistic& statistic,
                      const BootstrapOptions& options = {});

/// Percentile interval of the mean over boots, resampling boots and then the requests inside each
/// drawn boot. Every boot counts once, however many requests it served. The same options give the
/// same bits.
///   Shapes: `boots` [boots][requests of that boot], none empty.
///   Cost:   draws x requests.
///   Errors: aborts below two boots, 100 draws, or on an empty boot.
Interval two_level_interval(std::span<const std::vector<double>> boots,
                            const BootstrapOptions& options = {});

}  // namespace nvllm::bench
