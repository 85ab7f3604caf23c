#include "bench/stats/order_test.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace nvllm::bench {
namespace {

using Legs = std::vector<std::vector<double>>;

const Legs kSeparate = {
    {0.00, 0.01, -0.01, 0.00}, {0.10, 0.12, 0.09, 0.11}, {0.50, 0.49, 0.52, 0.50}};
const std::array<OrderStep, 2> kRising = {};

TEST(OrderTest, TakesTheWeakestGap) {
  const OrderTest test = test_order(kSeparate, kRising);
  ASSERT_EQ(test.gaps.size(), 2u);
  EXPECT_EQ(test.p, std::max(test.gaps[0].p, test.gaps[1].p));
  EXPECT_LT(test.p, 0.01);
  EXPECT_NEAR(test.gaps[0].summary.mean, 0.105, 1e-12);
}

TEST(OrderTest, OneUnclearGapSpoilsTheOrder) {
  Legs legs = kSeparate;
  legs[1] = {0.52, 0.48, 0.51, 0.50};
  const OrderTest test = test_order(legs, kRising);
  EXPECT_LT(test.gaps[0].p, 0.001);
  EXPECT_GT(test.p, 0.3);
}

TEST(OrderTest, TheFirstGapCountsAsMuchAsTheLast) {
  Legs legs = kSeparate;
  legs[1] = {0.02, -0.02, 0.01, 0.00};
  const OrderTest test = test_order(legs, kRising);
  EXPECT_LT(test.gaps[1].p, 0.001);
  EXPECT_GT(test.p, 0.3);
}

TEST(OrderTest, PairingRemovesWhatTheRoundsShare) {
  Legs drifting = kSeparate;
  for (std::vector<double>& leg : drifting) {
    for (std::size_t round = 0; round < leg.size(); ++round)
      leg[round] += static_cast<double>(round);
  }
  EXPECT_NEAR(test_order(drifting, kRising).p, test_order(kSeparate, kRising).p, 1e-12);
}

TEST(OrderTest, ADeclaredTieIsTestedForEquivalence) {
  const Legs legs = {{0.000, 0.001, -0.001}, {0.001, 0.001, 0.000}};
  const std::array<OrderStep, 1> tie = {{{.relation = Relation::kTied, .margin = 0.02}}};
  EXPECT_LT(test_order(legs, tie).p, 0.05);
  const std::array<OrderStep, 1> narrow = {{{.relation = Relation::kTied, .margin = 0.001}}};
  EXPECT_GT(test_order(legs, narrow).p, 0.05);
}

TEST(OrderTest, OneRoundNeedsBorrowedNoise) {
  const Legs legs = {{0.00}, {0.01}};
  const std::array<OrderStep, 1> steps = {};
  const OrderTest test = test_order(legs, steps, {.borrowed_boot_sigma = 0.001});
  EXPECT_EQ(test.gaps[0].summary.noise, NoiseSource::kBorrowed);
  EXPECT_LT(test.p, 1e-9);
  EXPECT_DEATH(static_cast<void>(test_order(legs, steps)), "samples");
}

TEST(JointOrderProbability, IsOneWhereEveryRoundAgreesAndZeroWhereNoneDoes) {
  EXPECT_EQ(joint_order_probability(kSeparate, {.draws = 500}), 1);
  const Legs reversed = {kSeparate[2], kSeparate[1], kSeparate[0]};
  EXPECT_EQ(joint_order_probability(reversed, {.draws = 500}), 0);
}

TEST(JointOrderProbability, CountsResamplesOfWholeRounds) {
  // The gap is +1 in two rounds and -3 in the third: a resample of three is in order only where it
  // never draws the third, with chance (2/3)^3 = 0.2963, or once with 1+1-3 < 0: not. 20,000 draws:
  // sd 0.0032.
  const Legs legs = {{0, 0, 0}, {1, 1, -3}};
  EXPECT_NEAR(joint_order_probability(legs, {.draws = 20'000}), 8.0 / 27, 0.0097);
}

TEST(JointOrderProbability, DependsOnNothingButItsSeed) {
  const Legs legs = {{0, 0, 0}, {1, 1, -3}};
  const ResampleOptions options{.draws = 1000, .seed = 7};
  EXPECT_EQ(joint_order_probability(legs, options), joint_order_probability(legs, options));
}

TEST(LogGapRatios, CompareGapsRoundByRound) {
  const std::array<double, 2> low = {10, 20};
  const std::array<double, 2> high = {12, 23};
  const std::array<double, 2> higher = {14, 26};
  const std::vector<double> ratios = log_gap_ratios({low, higher}, {low, high});
  EXPECT_NEAR(ratios[0], std::log(2.0), 1e-15);
  EXPECT_NEAR(ratios[1], std::log(2.0), 1e-15);
  EXPECT_TRUE(log_gap_ratios({high, low}, {low, high}).empty());
}

}  // namespace
}  // namespace nvllm::bench
