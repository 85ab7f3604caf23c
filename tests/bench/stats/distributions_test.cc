#include "bench/stats/distributions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace nvllm::bench {
namespace {

/// What the header promises; the values were computed with 30 to 40 digits.
constexpr double kRelative = 1e-12;

void expect_relative(double seen, double wanted, double relative = kRelative) {
  EXPECT_NEAR(seen, wanted, std::abs(wanted) * relative);
}

TEST(Normal, CdfKeepsItsDigitsInTheTail) {
  expect_relative(normal_cdf(-10), 7.6198530241605261e-24);
  expect_relative(normal_cdf(1.5), 0.93319279873114193);
  EXPECT_EQ(normal_cdf(0), 0.5);
}

TEST(Normal, QuantilesAreThePublishedOnes) {
  expect_relative(normal_quantile(0.975), 1.9599639845400542);
  expect_relative(normal_quantile(0.95), 1.6448536269514722);
  expect_relative(normal_quantile(0.8), 0.84162123357291442);
  EXPECT_EQ(normal_quantile(0.5), 0);
  EXPECT_EQ(normal_quantile(0), -kInfiniteDf);
}

TEST(StudentT, UpperTailsMatchFortyDigitArithmetic) {
  struct Row {
    double t, df, tail;
  };
  for (const Row& row :
       {Row{1, 1, 0.25}, Row{2.5, 3, 0.043853323504032774}, Row{12, 4, 0.00013821427425148648},
        Row{0.01, 7, 0.49615015882181089}, Row{30, 2, 0.00055463134097982946},
        Row{3, 11.5, 0.0057733036163812509}, Row{40, 120, 1.5668241993082684e-71}}) {
    expect_relative(student_t_cdf(-row.t, row.df), row.tail, 2e-12);
    expect_relative(student_t_cdf(row.t, row.df), 1 - row.tail);
  }
}

TEST(StudentT, QuantilesAreThePublishedOnes) {
  EXPECT_NEAR(student_t_quantile(0.95, 1), 6.313751514675, 1e-11);
  EXPECT_NEAR(student_t_quantile(0.95, 2), 2.919985580354, 1e-11);
  EXPECT_NEAR(student_t_quantile(0.975, 3), 3.182446305284, 1e-11);
  EXPECT_NEAR(student_t_quantile(0.975, 30), 2.042272456301, 1e-11);
}

TEST(StudentT, OneDegreeOfFreedomIsCauchyAndInfinitelyManyAreNormal) {
  for (const double t : {-1e6, -3.0, 0.2, 7.0}) {
    expect_relative(student_t_cdf(t, 1), 0.5 + std::atan(t) / std::numbers::pi,
                    t < -1e3 ? 1e-9 : kRelative);
    expect_relative(student_t_cdf(t, kInfiniteDf), normal_cdf(t));
  }
}

TEST(StudentT, QuantileUndoesTheCdf) {
  for (const double df : {1.0, 2.0, 4.7, 35.0, 1e4, kInfiniteDf}) {
    for (const double p : {1e-9, 1e-3, 0.2, 0.49, 0.5, 0.9}) {
      expect_relative(student_t_cdf(student_t_quantile(p, df), df), p);
      EXPECT_NEAR(student_t_quantile(p, df), -student_t_quantile(1 - p, df),
                  1e-6 * std::abs(student_t_quantile(p, df)));
    }
  }
}

TEST(IncompleteBeta, MatchesFortyDigitArithmetic) {
  expect_relative(incomplete_beta(2, 3, 0.4), 0.5248);
  expect_relative(incomplete_beta(0.5, 0.5, 0.1), 0.20483276469913346);
  expect_relative(incomplete_beta(100, 200, 0.3), 0.10884306564490976);
  expect_relative(incomplete_beta(1319, 40, 0.97), 0.43128609615041374);
  expect_relative(incomplete_beta(5000, 5000, 0.49), 0.022742032324574546);
  expect_relative(incomplete_beta(30, 0.25, 0.9), 0.0043301969375124627);
}

TEST(IncompleteBeta, ReflectsAndEndsAtZeroAndOne) {
  for (const double x : {0.0, 0.125, 0.5, 0.75, 1.0}) {
    EXPECT_NEAR(incomplete_beta(3.5, 0.25, x) + incomplete_beta(0.25, 3.5, 1 - x), 1, 1e-14);
  }
  EXPECT_EQ(incomplete_beta(3, 4, 0), 0);
  EXPECT_EQ(incomplete_beta(3, 4, 1), 1);
}

TEST(IncompleteBeta, InverseUndoesIt) {
  for (const double a : {0.5, 3.0, 700.0}) {
    for (const double b : {0.5, 11.0, 620.0}) {
      for (const double p : {1e-8, 0.05, 0.5, 0.975}) {
        expect_relative(incomplete_beta(a, b, incomplete_beta_inverse(a, b, p)), p, 1e-11);
      }
    }
  }
}

TEST(Binomial, ProbabilitiesMatchFortyDigitArithmetic) {
  expect_relative(binomial_pmf({.count = 40, .trials = 1319}, 0.03), 0.063770405108543385);
  expect_relative(binomial_upper_tail({.count = 8, .trials = 50}, 0.03), 0.00011417052944639418);
  expect_relative(binomial_cdf({.count = 2, .trials = 10}, 0.5), 56.0 / 1024);
  EXPECT_EQ(binomial_pmf({.count = 0, .trials = 5}, 0), 1);
  EXPECT_EQ(binomial_pmf({.count = 5, .trials = 5}, 1), 1);
}

TEST(Binomial, CdfIsTheSumOfTheProbabilities) {
  double sum = 0;
  for (std::int64_t k = 0; k < 30; ++k) {
    sum += binomial_pmf({.count = k, .trials = 30}, 0.3);
    expect_relative(binomial_cdf({.count = k, .trials = 30}, 0.3), sum);
    EXPECT_NEAR(binomial_upper_tail({.count = k + 1, .trials = 30}, 0.3), 1 - sum, 1e-13);
  }
}

TEST(ClopperPearson, BoundsAreTheRootsOfTheBinomialTails) {
  const Interval interval = clopper_pearson({.count = 3, .trials = 50}, 0.95);
  expect_relative(interval.low, 0.0125485878353341, 1e-12);
  expect_relative(interval.high, 0.165481946603773, 1e-12);
}

TEST(ClopperPearson, ReachesZeroAndOneAtTheEnds) {
  EXPECT_EQ(clopper_pearson({.count = 0, .trials = 9}, 0.9).low, 0);
  EXPECT_EQ(clopper_pearson({.count = 9, .trials = 9}, 0.9).high, 1);
}

TEST(ClopperPearson, FiftyIdenticalOutcomesLeaveFivePointEightPoints) {
  const double bound = clopper_pearson_upper({.count = 0, .trials = 50}, 0.95);
  expect_relative(bound, 1 - std::pow(0.05, 1.0 / 50));
  EXPECT_EQ(std::round(bound * 1000), 58);
}

TEST(DistributionsDeath, RefusesWhatIsNoProbability) {
  EXPECT_DEATH(student_t_quantile(1.5, 3), "p >= 0");
  EXPECT_DEATH(student_t_cdf(1, 0), "df");
  EXPECT_DEATH(clopper_pearson({.count = 3, .trials = 2}, 0.9), "count");
}

}  // namespace
}  // namespace nvllm::bench
