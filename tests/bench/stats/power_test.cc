// The table of powers in the bench's design note was simulated ("1,500-20,000 draws"); the function
// here is exact. Each printed value is therefore held to three standard deviations of 1,500 draws
// plus half a unit of its last digit, and the exact values are held to an independent integration
// in another language. All 36 printed values lie inside; in eight of them the exact value rounds to
// another last digit:
//   s 0.2 % R 2: 0.85 (printed 0.84);  s 0.5 % R 3: 0.84 / 0.48 (0.83 / 0.47), R 6: 0.90 (0.89);
//   s 1 % R 2: 0.11 (0.12), R 3: 0.28 / 0.18 (0.29 / 0.19), R 8: 0.94 (0.95).

#include "bench/stats/power.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace nvllm::bench {
namespace {

constexpr double kMargin = 0.02;

struct Row {
  double scatter;
  std::int64_t rounds;
  double printed_same, printed_shifted;  ///< true difference 0 and 1 %
  double exact_same, exact_shifted;
};

constexpr std::array<Row, 18> kTable = {{
    {0.002, 2, 0.84, 0.56, 0.8488, 0.5591},
    {0.002, 3, 1.0, 0.97, 1.0, 0.9717},
    {0.002, 4, 1.0, 1.0, 1.0, 0.9995},
    {0.002, 6, 1.0, 1.0, 1.0, 1.0},
    {0.002, 8, 1.0, 1.0, 1.0, 1.0},
    {0.002, 12, 1.0, 1.0, 1.0, 1.0},
    {0.005, 2, 0.38, 0.24, 0.3821, 0.2415},
    {0.005, 3, 0.83, 0.47, 0.8369, 0.4819},
    {0.005, 4, 0.98, 0.68, 0.9845, 0.6830},
    {0.005, 6, 1.0, 0.89, 1.0, 0.8972},
    {0.005, 8, 1.0, 0.97, 1.0, 0.9700},
    {0.005, 12, 1.0, 1.0, 1.0, 0.9979},
    {0.010, 2, 0.15, 0.12, 0.1503, 0.1132},
    {0.010, 3, 0.29, 0.19, 0.2835, 0.1822},
    {0.010, 4, 0.47, 0.27, 0.4709, 0.2691},
    {0.010, 6, 0.80, 0.43, 0.8020, 0.4294},
    {0.010, 8, 0.95, 0.55, 0.9424, 0.5522},
    {0.010, 12, 1.0, 0.73, 0.9961, 0.7311},
}};

double power_of(const Row& row, double difference) {
  return tost_power(
      {.rounds = row.rounds, .boot_scatter = row.scatter, .true_difference = difference}, kMargin);
}

double printed_tolerance(double power) {
  constexpr double kDraws = 1500;
  return 0.005 + 3 * std::sqrt(power * (1 - power) / kDraws);
}

TEST(TostPower, MatchesAnIndependentIntegration) {
  for (const Row& row : kTable) {
    EXPECT_NEAR(power_of(row, 0), row.exact_same, 6e-5) << row.scatter << " " << row.rounds;
    EXPECT_NEAR(power_of(row, 0.01), row.exact_shifted, 6e-5) << row.scatter << " " << row.rounds;
  }
}

TEST(TostPower, DiffersFromThePrintedTableByLessThanItsSimulation) {
  double largest = 0;
  int other_digits = 0;
  for (const Row& row : kTable) {
    for (const auto& [difference, printed] :
         {std::pair{0.0, row.printed_same}, {0.01, row.printed_shifted}}) {
      const double exact = power_of(row, difference);
      EXPECT_NEAR(exact, printed, printed_tolerance(exact))
          << row.scatter << " " << row.rounds << " " << difference;
      largest = std::max(largest, std::abs(exact - printed));
      other_digits += std::round(exact * 100) != std::round(printed * 100);
    }
  }
  EXPECT_LT(largest, 0.013);  // s 0.5 %, R 3, 1 %: 0.4819 against 0.47
  EXPECT_EQ(other_digits, 8);
}

TEST(TostPower, IsSymmetricInTheLogOfTheTrueDifference) {
  const PairedDesign slower{.rounds = 5, .boot_scatter = 0.006, .true_difference = 0.01};
  PairedDesign faster = slower;
  faster.true_difference = 1 / 1.01 - 1;
  EXPECT_NEAR(tost_power(slower, kMargin), tost_power(faster, kMargin), 1e-12);
}

TEST(TostPower, IsAlphaAtTheMarginItself) {
  // With a margin of many standard errors only one of the two tests can fail, and that at exactly
  // alpha.
  EXPECT_NEAR(tost_power({.rounds = 6, .boot_scatter = 1e-4, .true_difference = kMargin}, kMargin),
              0.05, 1e-10);
}

TEST(DifferencePower, IsAlphaWithoutADifference) {
  for (const std::int64_t rounds : {2, 3, 4, 40, 400}) {
    EXPECT_NEAR(difference_power({.rounds = rounds, .boot_scatter = 0.01}), 0.05, 1e-10) << rounds;
  }
}

TEST(OneSidedPower, MatchesThePublishedNoncentralT) {
  // Effect 0.5 sd, one-sided 5 %: 27 pairs give 0.8, the textbook sample size; 26 fall short.
  EXPECT_GE(one_sided_power(27, 0.5, 0.05), 0.8);
  EXPECT_LT(one_sided_power(26, 0.5, 0.05), 0.8);
  EXPECT_EQ(rounds_for_one_sided(0.5, 0.05, 0.8, 1000), 27);
}

TEST(DifferencePower, MatchesThePublishedSampleSizes) {
  // Two-sided paired t at 5 %, effect 0.5 sd of the difference: 34 pairs for 0.8, the textbook
  // sample size.
  const double scatter = 0.01;
  const PairedDesign design{.boot_scatter = scatter,
                            .true_difference = std::expm1(0.5 * scatter * std::sqrt(2.0))};
  EXPECT_EQ(rounds_for_difference(design, 0.8, 1000), 34);
}

TEST(RoundsForTost, IsTheFirstNumberThatSuffices) {
  PairedDesign design{.boot_scatter = 0.01, .true_difference = 0.01};
  const auto rounds = rounds_for_tost(design, kMargin, 0.8, 100);
  ASSERT_TRUE(rounds.has_value());
  design.rounds = *rounds;
  EXPECT_GE(tost_power(design, kMargin), 0.8);
  design.rounds = *rounds - 1;
  EXPECT_LT(tost_power(design, kMargin), 0.8);
}

TEST(RoundsForTost, IsNothingBeyondTheMargin) {
  EXPECT_FALSE(rounds_for_tost({.boot_scatter = 0.005, .true_difference = 0.03}, kMargin, 0.8, 200)
                   .has_value());
}

TEST(DetectableDifference, IsFoundWithTheWantedChance) {
  PairedDesign design{.rounds = 4, .boot_scatter = 0.002};
  design.true_difference = detectable_difference(design, 0.8);
  EXPECT_NEAR(difference_power(design), 0.8, 1e-9);
  EXPECT_GT(design.true_difference, 0.002);
}

}  // namespace
}  // namespace nvllm::bench
