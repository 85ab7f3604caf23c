#include "bench/profile/log_histogram.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace nvllm::bench {

void LogHistogram::add(double log_seconds) {
  static const double log_first = std::log(kFirstSeconds), bins_per_log = 1 / std::log(kGrowth);
  const double bin = std::floor((log_seconds - log_first) * bins_per_log);
  const auto last = static_cast<double>(kBinCount - 1);
  // The comparison also takes the logarithm of nothing, minus infinity, to the first bin.
  const double inside = bin > 0 ? std::min(bin, last) : 0;
  ++counts_[static_cast<std::size_t>(inside)];
  ++count_;
}

void LogHistogram::merge(const LogHistogram& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
}

double LogHistogram::quantile_s(double q) const {
  NVLLM_CHECK(count_ > 0);
  const auto wanted = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(q * static_cast<double>(count_))));
  std::int64_t seen = 0;
  std::size_t bin = 0;
  while (bin + 1 < counts_.size() && seen + counts_[bin] < wanted) seen += counts_[bin++];
  return kFirstSeconds * std::pow(kGrowth, static_cast<double>(bin) + 0.5);
}

}  // namespace nvllm::bench
