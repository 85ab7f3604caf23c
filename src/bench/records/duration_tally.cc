#include "bench/records/duration_tally.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace nvllm::bench {

namespace {

constexpr double kShortest = 1e-3;  // 1 ns, the profilers' own resolution
const double kLogStep = std::log(1.01);

}  // namespace

void DurationTally::add(double us) {
  NVLLM_CHECK(std::isfinite(us) && us >= 0);
  us = std::max(us, kShortest);
  const double logarithm = std::log(us);
  const auto bucket = static_cast<std::int32_t>(std::floor(logarithm / kLogStep));
  if (count_ == 0) {
    first_bucket_ = bucket;
    min_ = max_ = us;
  }
  if (bucket < first_bucket_) {
    buckets_.insert(buckets_.begin(), static_cast<std::size_t>(first_bucket_ - bucket), 0);
    first_bucket_ = bucket;
  }
  const auto index = static_cast<std::size_t>(bucket - first_bucket_);
  if (index >= buckets_.size()) buckets_.resize(index + 1);
  ++buckets_[index];
  ++count_;
  sum_ += us;
  log_sum_ += logarithm;
  min_ = std::min(min_, us);
  max_ = std::max(max_, us);
  const double step = us - welford_mean_;
  welford_mean_ += step / static_cast<double>(count_);
  welford_square_ += step * (us - welford_mean_);
}

double DurationTally::mean_us() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

double DurationTally::sd_us() const {
  return count_ < 2 ? 0 : std::sqrt(welford_square_ / static_cast<double>(count_ - 1));
}

double DurationTally::log_mean() const { return count_ == 0 ? 0 : log_sum_ / static_cast<double>(count_); }

double DurationTally::quantile_us(double q) const {
  NVLLM_CHECK(q > 0 && q <= 1);
  if (count_ == 0) return 0;
  const auto rank = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(q * static_cast<double>(count_))));
  std::int64_t below = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    below += buckets_[i];
    if (below < rank) continue;
    // The middle of the bucket on the logarithmic scale, but never outside of what was seen.
    const double middle = std::exp((static_cast<double>(first_bucket_) + static_cast<double>(i) + 0.5) * kLogStep);
    return std::clamp(middle, min_, max_);
  }
  return max_;
}

}  // namespace nvllm::bench
