#include "bench/stats/multiple_tests.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace nvllm::bench {
namespace {

TEST(Holm, AdjustsStepDownAndKeepsTheOrderGiven) {
  const std::vector<double> adjusted = holm(std::array<double, 4>{0.01, 0.04, 0.03, 0.005});
  EXPECT_DOUBLE_EQ(adjusted[3], 0.02);
  EXPECT_DOUBLE_EQ(adjusted[0], 0.03);
  EXPECT_DOUBLE_EQ(adjusted[2], 0.06);
  EXPECT_DOUBLE_EQ(adjusted[1], 0.06);  // 0.04 alone would give 0.04: never below the one before
}

TEST(Holm, StopsAtOneAndAcceptsNothing) {
  EXPECT_DOUBLE_EQ(holm(std::array<double, 2>{0.9, 0.8})[1], 1.0);
  EXPECT_TRUE(holm({}).empty());
}

TEST(BenjaminiHochberg, ReproducesTheFifteenPValuesOfThePaper) {
  // Benjamini and Hochberg 1995, section 3.2: at q = 0.05 the four smallest are rejected.
  constexpr std::array<double, 15> kP = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201,
                                         0.0278, 0.0298, 0.0344, 0.0459, 0.3240,
                                         0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
  const std::vector<double> q = benjamini_hochberg(kP);
  for (std::size_t i = 0; i < kP.size(); ++i) EXPECT_EQ(q[i] <= 0.05, i < 4) << i;
  EXPECT_DOUBLE_EQ(q[0], 0.0015);
  EXPECT_DOUBLE_EQ(q[3], 0.0095 * 15 / 4);
  // Holm rejects three of them, as the paper says of the stricter kind.
  const std::vector<double> strict = holm(kP);
  for (std::size_t i = 0; i < kP.size(); ++i) EXPECT_EQ(strict[i] <= 0.05, i < 3) << i;
}

TEST(SignTest, ReproducesTheFourCountsOfTheTwoDates) {
  EXPECT_NEAR(sign_test_p({.positive = 10, .negative = 0}), 0.002, 0.0005);
  // Printed as "from 4e-8 to 6e-4".
  EXPECT_NEAR(sign_test_p({.positive = 59, .negative = 13}), 4e-8, 0.5e-8);
  EXPECT_NEAR(sign_test_p({.positive = 52, .negative = 22}), 6e-4, 0.5e-4);
  const double middle = sign_test_p({.positive = 54, .negative = 17});
  EXPECT_TRUE(middle > 4e-8 && middle < 6e-4);
}

TEST(SignTest, IsOneForATieAndForNothing) {
  EXPECT_EQ(sign_test_p({.positive = 4, .negative = 4}), 1);
  EXPECT_EQ(sign_test_p({}), 1);
}

TEST(MultipleTestsDeath, RefuseWhatIsNoProbability) {
  EXPECT_DEATH(
      static_cast<void>(holm(std::array<double, 1>{std::numeric_limits<double>::quiet_NaN()})),
      "p >= 0");
  EXPECT_DEATH(static_cast<void>(benjamini_hochberg(std::array<double, 1>{1.5})), "p <= 1");
}

}  // namespace
}  // namespace nvllm::bench
