#include "bench/stats/equivalence.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "bench/stats/distributions.h"

namespace nvllm::bench {
namespace {

/// Mean kernel times in us of two dates, one pair per leg, from the public folders of 2026-05-02
/// and 2026-05-15: the three legs are three boots of the same kernel.
struct DatedMeans {
  double before, after;
};

std::vector<double> log_ratios(std::initializer_list<DatedMeans> means) {
  std::vector<double> out;
  for (const DatedMeans& mean : means) out.push_back(std::log(mean.after / mean.before));
  return out;
}

struct PrintedRow {
  double mean, low, high, p, p_unit;
};

/// Percent, to half a unit of the last digit printed.
void expect_printed(const std::vector<double>& ratios, const PrintedRow& row) {
  const Equivalence test = test_equivalence(summarise(ratios), 0.02);
  EXPECT_NEAR(100 * test.summary.mean, row.mean, 0.005);
  EXPECT_NEAR(100 * test.interval.low, row.low, 0.005);
  EXPECT_NEAR(100 * test.interval.high, row.high, 0.005);
  EXPECT_NEAR(test.p_difference, row.p, row.p_unit / 2);
}

const std::vector<double> kGemmA =
    log_ratios({{315.065, 318.528}, {313.318, 318.545}, {316.065, 320.796}});
const std::vector<double> kGemvx =
    log_ratios({{391.545, 393.516}, {393.817, 395.209}, {393.92, 395.288}});
const std::vector<double> kDecode =
    log_ratios({{17088.491, 17128.171}, {17040.088, 17268.251}, {17106.305, 17135.967}});
const std::vector<double> kBeta = log_ratios({{40635.606, 41311.311}, {40829.264, 41461.362}});

TEST(Equivalence, ReproducesTheFourKernelsOfTheTwoDates) {
  expect_printed(kGemmA, {1.41, 0.93, 1.90, 0.014, 0.001});
  expect_printed(kGemvx, {0.40, 0.25, 0.55, 0.016, 0.001});
  expect_printed(kDecode, {0.58, -0.52, 1.68, 0.26, 0.01});
  expect_printed(kBeta, {1.59, 1.24, 1.95, 0.023, 0.001});
}

TEST(Equivalence, ReadsTheFourKernelsAsThePublishedNoteDoes) {
  EXPECT_EQ(test_equivalence(summarise(kGemmA), 0.02).outcome, Outcome::kEquivalentShifted);
  EXPECT_EQ(test_equivalence(summarise(kGemvx), 0.02).outcome, Outcome::kEquivalentShifted);
  EXPECT_EQ(test_equivalence(summarise(kDecode), 0.02).outcome, Outcome::kEquivalent);
  EXPECT_EQ(test_equivalence(summarise(kBeta), 0.02).outcome, Outcome::kEquivalentShifted);
  EXPECT_EQ(test_equivalence(summarise(kBeta), 0.015).outcome, Outcome::kShifted);
}

TEST(Equivalence, IntervalInsideTheMarginMeansTostBelowAlphaAndOnlyThen) {
  for (const double margin : {0.002, 0.01, 0.0168, 0.0172, 0.019, 0.02, 0.05}) {
    const Equivalence test = test_equivalence(summarise(kDecode), margin);
    const double log_margin = std::log1p(margin);
    const bool inside = test.interval.low > -log_margin && test.interval.high < log_margin;
    EXPECT_EQ(inside, test.p_tost < 0.05) << margin;
  }
}

TEST(Judge, KnowsTheSixOutcomes) {
  EXPECT_EQ(judge({.low = -0.01, .high = 0.01}, 0.02), Outcome::kEquivalent);
  EXPECT_EQ(judge({.low = 0.005, .high = 0.01}, 0.02), Outcome::kEquivalentShifted);
  EXPECT_EQ(judge({.low = -0.01, .high = -0.005}, 0.02), Outcome::kEquivalentShifted);
  EXPECT_EQ(judge({.low = 0.03, .high = 0.04}, 0.02), Outcome::kSlower);
  EXPECT_EQ(judge({.low = -0.04, .high = -0.03}, 0.02), Outcome::kFaster);
  EXPECT_EQ(judge({.low = 0.01, .high = 0.04}, 0.02), Outcome::kShifted);
  EXPECT_EQ(judge({.low = -0.04, .high = -0.01}, 0.02), Outcome::kShifted);
  EXPECT_EQ(judge({.low = -0.03, .high = 0.01}, 0.02), Outcome::kInconclusive);
  EXPECT_EQ(judge({.low = -0.03, .high = 0.03}, 0.02), Outcome::kInconclusive);
}

TEST(Judge, TouchingTheMarginIsNotInsideIt) {
  EXPECT_EQ(judge({.low = -0.02, .high = 0.01}, 0.02), Outcome::kInconclusive);
  EXPECT_EQ(judge({.low = 0.0, .high = 0.01}, 0.02), Outcome::kEquivalent);
}

TEST(BorrowedNoise, UsesTheNormalQuantileAndSaysSo) {
  const std::array<double, 1> sample = {0.004};
  const PairedSummary summary = summarise_borrowed(sample, 0.001);
  EXPECT_EQ(summary.noise, NoiseSource::kBorrowed);
  EXPECT_EQ(summary.df, kInfiniteDf);
  const Interval interval = mean_interval(summary, 0.90);
  const double reach = 1.6448536269514722 * 0.001 * std::sqrt(2.0);
  EXPECT_NEAR(interval.low, 0.004 - reach, 1e-15);
  EXPECT_NEAR(interval.high, 0.004 + reach, 1e-15);
}

TEST(Equivalence, WithoutScatterTheMeanDecides) {
  const std::array<double, 3> same = {0.01, 0.01, 0.01};
  const Equivalence inside = test_equivalence(summarise(same), 0.02);
  EXPECT_EQ(inside.outcome, Outcome::kEquivalentShifted);
  EXPECT_EQ(inside.p_difference, 0);
  EXPECT_EQ(inside.p_tost, 0);
  EXPECT_EQ(test_equivalence(summarise(std::array<double, 2>{0.0, 0.0}), 0.02).p_difference, 1);
  EXPECT_EQ(test_equivalence(summarise(std::array<double, 2>{0.5, 0.5}), 0.02).p_tost, 1);
}

TEST(Equivalence, IsSymmetricInTheSign) {
  std::vector<double> mirrored = kGemmA;
  for (double& ratio : mirrored) ratio = -ratio;
  const Equivalence test = test_equivalence(summarise(kGemmA), 0.02);
  const Equivalence mirror = test_equivalence(summarise(mirrored), 0.02);
  EXPECT_DOUBLE_EQ(test.p_tost, mirror.p_tost);
  EXPECT_DOUBLE_EQ(test.p_difference, mirror.p_difference);
  EXPECT_DOUBLE_EQ(test.interval.low, -mirror.interval.high);
}

TEST(EquivalenceDeath, RefusesOneRoundWithoutBorrowedNoise) {
  EXPECT_DEATH(static_cast<void>(summarise(std::array<double, 1>{0.1})), "samples");
}

}  // namespace
}  // namespace nvllm::bench
