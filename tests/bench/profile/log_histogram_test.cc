#include "bench/profile/log_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/hashing.h"

namespace nvllm::bench {
namespace {

// Half a bin: the middle of a bin is at most sqrt(1.01) away from anything in it.
const double kQuantileError = std::sqrt(LogHistogram::kGrowth) - 1 + 1e-9;

TEST(LogHistogram, FindsQuantilesOfARandomSampleWithinHalfAPerCent) {
  LogHistogram histogram;
  std::vector<double> sample;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    sample.push_back(1e-6 * std::exp(6 * random_uniform(11, i)));
    histogram.add(std::log(sample.back()));
  }
  std::ranges::sort(sample);
  for (const double q : {0.001, 0.05, 0.5, 0.95, 0.99, 1.0}) {
    const double exact = sample[static_cast<std::size_t>(std::ceil(q * 5000)) - 1];
    EXPECT_NEAR(histogram.quantile_s(q) / exact, 1, kQuantileError) << q;
  }
}

TEST(LogHistogram, KeepsWhatLiesOutsideInTheOutermostBins) {
  LogHistogram histogram;
  histogram.add(-std::numeric_limits<double>::infinity());
  histogram.add(std::log(1e9));
  EXPECT_EQ(histogram.count(), 2);
  EXPECT_NEAR(histogram.quantile_s(0.5) / LogHistogram::kFirstSeconds, 1, 0.01);
  EXPECT_GE(histogram.quantile_s(1.0), 1000 * 0.98);
  EXPECT_LT(histogram.quantile_s(1.0), 1100);
}

TEST(LogHistogram, ReachesAThousandSeconds) {
  EXPECT_GE(LogHistogram::kFirstSeconds * std::pow(LogHistogram::kGrowth, LogHistogram::kBinCount), 1000);
}

TEST(LogHistogram, MergedHoldsBoth) {
  LogHistogram a, b;
  for (int i = 0; i < 10; ++i) a.add(std::log(1e-3));
  for (int i = 0; i < 30; ++i) b.add(std::log(2e-3));
  a.merge(b);
  EXPECT_EQ(a.count(), 40);
  EXPECT_NEAR(a.quantile_s(0.25) / 1e-3, 1, kQuantileError);
  EXPECT_NEAR(a.quantile_s(0.26) / 2e-3, 1, kQuantileError);
}

}  // namespace
}  // namespace nvllm::bench
