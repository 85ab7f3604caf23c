#include "bench/stats/bootstrap.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace nvllm::bench {
namespace {

double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

constexpr std::array<double, 9> kBoots = {1.2, 0.4, 0.9, 2.8, 1.1, 0.7, 5.0, 1.3, 0.2};

TEST(BcaInterval, MatchesASecondImplementation) {
  // Written again in another language from Efron's formulas, over the same counter-based draws.
  const Interval interval = bca_interval(kBoots, mean, {.draws = 2000, .seed = 42, .level = 0.90});
  EXPECT_NEAR(interval.low, 0.9277667997852483, 1e-9);
  EXPECT_NEAR(interval.high, 2.6777777777777776, 1e-9);
}

TEST(BcaInterval, LeansTowardTheLongTail) {
  const Interval interval = bca_interval(kBoots, mean);
  const double centre = mean(kBoots);
  EXPECT_GT(interval.high - centre, centre - interval.low);
}

TEST(BcaInterval, MovesAndScalesWithTheData) {
  std::array<double, 9> moved = kBoots;
  for (double& boot : moved) boot = 4 * boot + 8;  // exact in binary
  const Interval plain = bca_interval(kBoots, mean, {.draws = 1000});
  const Interval scaled = bca_interval(moved, mean, {.draws = 1000});
  EXPECT_NEAR(scaled.low, 4 * plain.low + 8, 1e-9);
  EXPECT_NEAR(scaled.high, 4 * plain.high + 8, 1e-9);
}

TEST(BcaInterval, IsAPointWhereBootsDoNotDiffer) {
  const Interval interval = bca_interval(std::array<double, 8>{3, 3, 3, 3, 3, 3, 3, 3}, mean);
  EXPECT_EQ(interval.low, 3);
  EXPECT_EQ(interval.high, 3);
}

/// Boots with means 0..7 and requests scattered by +-`scatter` around them.
std::vector<std::vector<double>> boots_with_requests(double scatter) {
  std::vector<std::vector<double>> boots;
  for (int boot = 0; boot < 8; ++boot) {
    boots.push_back({boot - scatter, boot + scatter, boot - scatter, boot + scatter});
  }
  return boots;
}

TEST(TwoLevelInterval, WithoutScatterInsideBootsOnlyBootsCount) {
  // The bootstrap's standard deviation of a mean of eight is sd_population / sqrt(8) = 2.2913 /
  // 2.8284 = 0.8101; nearly normal, so the 90 % interval is about 3.5 +- 1.333. Its grid is 1/8.
  const Interval interval = two_level_interval(boots_with_requests(0));
  EXPECT_NEAR(interval.low, 3.5 - 1.333, 0.125);
  EXPECT_NEAR(interval.high, 3.5 + 1.333, 0.125);
}

TEST(TwoLevelInterval, ScatterInsideBootsWidensIt) {
  // Four requests of +-8: 16 more variance per boot mean, sqrt((5.25 + 16) / 8) = 1.630, +-2.681.
  // The tolerance is four standard deviations of a 5 % quantile of 10,000 draws (0.035 each) plus
  // the grid of 0.5 / 8.
  const Interval interval = two_level_interval(boots_with_requests(8));
  EXPECT_NEAR(interval.low, 3.5 - 2.681, 0.2);
  EXPECT_NEAR(interval.high, 3.5 + 2.681, 0.2);
}

}  // namespace
}  // namespace nvllm::bench
