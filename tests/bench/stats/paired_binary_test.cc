#include "bench/stats/paired_binary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bench/stats/distributions.h"

namespace nvllm::bench {
namespace {

TEST(McNemar, NeedsSixFlipsOneWay) {
  EXPECT_NEAR(mcnemar_p({.questions = 50, .lost = 6, .gained = 0}), 2.0 / 64, 1e-15);
  EXPECT_NEAR(mcnemar_p({.questions = 50, .lost = 0, .gained = 5}), 2.0 / 32, 1e-15);
}

TEST(McNemar, ReproducesThePairedRunsOfTheTwoDates) {
  EXPECT_EQ(mcnemar_p({.questions = 50, .lost = 2, .gained = 1}), 1);  // lower8
  EXPECT_EQ(mcnemar_p({.questions = 50, .lost = 1, .gained = 1}), 1);  // all-beta
  EXPECT_EQ(mcnemar_p({.questions = 50, .lost = 0, .gained = 1}), 1);  // lower8 against all-beta
  EXPECT_NEAR(mcnemar_p({.questions = 50, .lost = 2, .gained = 4}), 0.6875, 1e-14);  // phaseE-off
}

TEST(McNemar, MidPTakesHalfTheTableSeen) {
  const PairedCounts counts{.questions = 50, .lost = 8, .gained = 2};
  EXPECT_NEAR(mcnemar_mid_p(counts), mcnemar_p(counts) - 45.0 / 1024, 1e-14);
  EXPECT_EQ(mcnemar_mid_p({.questions = 50, .lost = 3, .gained = 3}), 1);
  EXPECT_EQ(mcnemar_mid_p({.questions = 50}), 1);
}

TEST(Tango, ScoreAtZeroIsMcNemarsChi) {
  EXPECT_NEAR(tango_score({.questions = 80, .lost = 9, .gained = 4}, 0), -5 / std::sqrt(13.0),
              1e-13);
}

TEST(Tango, LimitsAreTheRootsOfTheScore) {
  const PairedCounts counts{.questions = 120, .lost = 7, .gained = 3};
  const Interval interval = tango_interval(counts, 0.90);
  EXPECT_NEAR(tango_score(counts, interval.low), 1.6448536269514722, 1e-9);
  EXPECT_NEAR(tango_score(counts, interval.high), -1.6448536269514722, 1e-9);
}

TEST(Tango, WorksAtZeroFlips) {
  // With no flips the score is -sqrt(n d / (1 - d)), so the limits are z^2 / (n + z^2).
  const double z = normal_quantile(0.95);
  const Interval interval = tango_interval({.questions = 50}, 0.90);
  EXPECT_NEAR(interval.high, z * z / (50 + z * z), 1e-12);
  EXPECT_NEAR(interval.low, -interval.high, 1e-12);
}

TEST(Tango, MirrorsWhenLostAndGainedTradePlaces) {
  const Interval a = tango_interval({.questions = 60, .lost = 5, .gained = 1}, 0.95);
  const Interval b = tango_interval({.questions = 60, .lost = 1, .gained = 5}, 0.95);
  EXPECT_NEAR(a.low, -b.high, 1e-12);
  EXPECT_NEAR(a.high, -b.low, 1e-12);
}

TEST(Tango, StaysInsideMinusOneToOneWhereEverythingFlips) {
  const Interval interval = tango_interval({.questions = 10, .lost = 10, .gained = 0}, 0.95);
  EXPECT_EQ(interval.low, -1);
  EXPECT_GT(interval.high, -1);
  EXPECT_LT(interval.high, 0);
}

TEST(Tango, ShowsNoninferiorityExactlyWhereTheLowerLimitIsAboveTheMargin) {
  for (std::int64_t lost = 0; lost <= 10; ++lost) {
    for (std::int64_t gained = 0; gained <= 10; ++gained) {
      const PairedCounts counts{.questions = 200, .lost = lost, .gained = gained};
      EXPECT_EQ(shows_noninferiority(counts, 0.04), tango_interval(counts, 0.90).low > -0.04)
          << lost << " " << gained;
    }
  }
}

TEST(AccuracyBounds, CountTimeoutsAsNeitherRightNorWrong) {
  const Interval four = accuracy_bounds({.right = 4, .censored = 46, .total = 50});
  EXPECT_DOUBLE_EQ(four.low, 0.08);
  EXPECT_DOUBLE_EQ(four.high, 1.0);
  const Interval two = accuracy_bounds({.right = 2, .censored = 48, .total = 50});
  EXPECT_DOUBLE_EQ(two.low, 0.04);
  EXPECT_DOUBLE_EQ(two.high, 1.0);
}

}  // namespace
}  // namespace nvllm::bench
