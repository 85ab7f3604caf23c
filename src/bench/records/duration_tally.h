#pragma once

#include <cstdint>
#include <vector>

namespace nvllm::bench {

/// Durations of one kernel, counted as they come: constant memory however many there are. Quantiles
/// come from a histogram whose buckets grow by 1 %, so they are right to half a per cent.
///   Units: microseconds.
///   Cost:  one logarithm a call; 8 bytes for each bucket between the shortest and the longest.
class DurationTally {
 public:
  /// Counts one duration; it must be finite and not negative. Below a nanosecond counts as one.
  void add(double us);

  std::int64_t count() const { return count_; }
  double total_us() const { return sum_; }
  double mean_us() const;
  double sd_us() const;     ///< of the sample; 0 below two calls
  double log_mean() const;  ///< mean of ln(us)
  double min_us() const { return min_; }
  double max_us() const { return max_; }

  /// The duration that a share of `q` of the calls does not exceed (nearest rank); 0 < q <= 1.
  double quantile_us(double q) const;

 private:
  std::int64_t count_ = 0;
  double sum_ = 0, log_sum_ = 0, min_ = 0, max_ = 0;
  double welford_mean_ = 0, welford_square_ = 0;
  std::int32_t first_bucket_ = 0;
  std::vector<std::int64_t> buckets_;  ///< from first_bucket_ up
};

}  // namespace nvllm::bench
