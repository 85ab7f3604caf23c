#include "bench/records/duration_tally.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/hashing.h"

namespace nvllm::bench {
namespace {

TEST(DurationTally, OfNothingIsZero) {
  const DurationTally tally;
  EXPECT_EQ(tally.count(), 0);
  EXPECT_EQ(tally.mean_us(), 0);
  EXPECT_EQ(tally.quantile_us(0.5), 0);
}

TEST(DurationTally, KeepsMomentsExactly) {
  DurationTally tally;
  for (const double us : {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0}) tally.add(us);
  EXPECT_EQ(tally.count(), 8);
  EXPECT_DOUBLE_EQ(tally.total_us(), 40);
  EXPECT_DOUBLE_EQ(tally.mean_us(), 5);
  EXPECT_NEAR(tally.sd_us(), std::sqrt(32.0 / 7), 1e-12);
  EXPECT_DOUBLE_EQ(tally.min_us(), 2);
  EXPECT_DOUBLE_EQ(tally.max_us(), 9);
  EXPECT_NEAR(tally.log_mean(), std::log(2.0 * 4 * 4 * 4 * 5 * 5 * 7 * 9) / 8, 1e-12);
}

TEST(DurationTally, QuantilesAreRightToHalfAPerCent) {
  DurationTally tally;
  std::vector<double> all;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    // Log-uniform over six decades: from 10 ns to 10 ms.
    all.push_back(std::pow(10.0, -2 + 6 * random_uniform(7, i)));
    tally.add(all.back());
  }
  std::sort(all.begin(), all.end());
  // A bucket is 1 % wide and its middle is shown: half a bucket is 0.4988 % at most.
  constexpr double kHalfBucket = 0.005;
  for (const double q : {0.01, 0.25, 0.5, 0.95, 0.999}) {
    const double exact = all[static_cast<std::size_t>(std::ceil(q * static_cast<double>(all.size()))) - 1];
    EXPECT_NEAR(tally.quantile_us(q) / exact, 1, kHalfBucket) << q;
  }
  EXPECT_LE(tally.quantile_us(1), tally.max_us());
}

TEST(DurationTally, DoesNotCareAboutTheOrder) {
  DurationTally up, down;
  for (int i = 1; i <= 100; ++i) up.add(i);
  for (int i = 100; i >= 1; --i) down.add(i);
  EXPECT_EQ(up.quantile_us(0.95), down.quantile_us(0.95));
  EXPECT_EQ(up.min_us(), down.min_us());
}

TEST(DurationTally, TakesZeroForANanosecond) {
  DurationTally tally;
  tally.add(0);
  EXPECT_DOUBLE_EQ(tally.quantile_us(0.5), 1e-3);
  EXPECT_TRUE(std::isfinite(tally.log_mean()));
}

}  // namespace
}  // namespace nvllm::bench
