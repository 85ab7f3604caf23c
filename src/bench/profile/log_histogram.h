#pragma once

#include <cstdint>
#include <vector>

namespace nvllm::bench {

/// Counts of durations in bins that grow by 1 %, from 10 ns to 1000 s. What lies outside is counted
/// in the outermost bins. Its memory is fixed when it is made.
class LogHistogram {
 public:
  static constexpr double kFirstSeconds = 1e-8;
  static constexpr double kGrowth = 1.01;
  static constexpr std::int64_t kBinCount = 2546;  ///< kFirstSeconds * kGrowth^kBinCount >= 1000 s

  LogHistogram() : counts_(kBinCount, 0) {}

  /// Counts one duration whose natural logarithm is `log_seconds`.
  void add(double log_seconds);
  void merge(const LogHistogram& other);
  std::int64_t count() const { return count_; }

  /// The duration that a share `q` of all does not exceed (nearest rank), as the geometric middle of its
  /// bin: within 0.5 % of the exact one.
  ///   Errors: aborts if there is nothing counted.
  double quantile_s(double q) const;

 private:
  std::int64_t count_ = 0;
  std::vector<std::uint32_t> counts_;
};

}  // namespace nvllm::bench
