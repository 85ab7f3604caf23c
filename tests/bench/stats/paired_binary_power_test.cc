// The figures of the bench's design note for pass/fail sets. The net losses are reproduced digit by
// digit. The powers of non-inferiority and the old gate's line were simulated there; here they are
// exact:
//   - non-inferiority: 19 of 20 printed values lie within three standard deviations of 1,500 draws
//     of the exact ones; 500 questions, 4 points, 3 % flips is printed 0.99 where the exact value
//     is 0.9988 (1.00);
//   - the old gate: 86 and 18 % are reproduced with benign flips of 3 % per side; for a loss of
//     5 points the exact chance is 0.4977 (50 %), printed 49 %.

#include "bench/stats/paired_binary_power.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "bench/stats/distributions.h"

namespace nvllm::bench {
namespace {

TEST(DetectableNetLoss, ReproducesThePrintedTable) {
  struct Row {
    std::int64_t questions;
    std::array<double, 3> points;
  };
  constexpr std::array<double, 3> kBenign = {0.0005, 0.01, 0.03};  // per side
  for (const Row& row :
       {Row{50, {15.4, 17.2, 20.5}}, Row{100, {7.9, 9.6, 12.1}}, Row{200, {4.0, 5.5, 7.5}},
        Row{500, {1.7, 2.8, 4.1}}, Row{1319, {0.7, 1.5, 2.3}}}) {
    for (std::size_t i = 0; i < kBenign.size(); ++i) {
      EXPECT_NEAR(100 * detectable_net_loss(row.questions, kBenign[i]), row.points[i], 0.05)
          << row.questions << " " << kBenign[i];
    }
  }
}

TEST(DetectableNetLoss, IsInfiniteWhereNoTestCanReject) {
  EXPECT_EQ(detectable_net_loss(5, 0), kInfiniteDf);  // six flips are needed
}

struct PowerRow {
  std::int64_t questions;
  double printed_3_4pt, printed_3_2pt, printed_6_4pt, printed_6_2pt;
};

constexpr std::array<PowerRow, 5> kPrinted = {{{50, 0.25, 0.09, 0.22, 0.13},
                                               {100, 0.55, 0.26, 0.41, 0.17},
                                               {200, 0.88, 0.41, 0.71, 0.27},
                                               {500, 0.99, 0.79, 0.96, 0.56},
                                               {1319, 1.00, 0.99, 1.00, 0.89}}};

double power_at(std::int64_t questions, double flips, double margin) {
  return noninferiority_power(
      {.questions = questions, .lose_rate = flips / 2, .gain_rate = flips / 2}, margin);
}

TEST(NoninferiorityPower, MatchesThePrintedTableWithinItsSimulation) {
  int outside = 0;
  for (const PowerRow& row : kPrinted) {
    struct Cell {
      double flips, margin, printed;
    };
    for (const Cell& cell :
         {Cell{0.03, 0.04, row.printed_3_4pt}, Cell{0.03, 0.02, row.printed_3_2pt},
          Cell{0.06, 0.04, row.printed_6_4pt}, Cell{0.06, 0.02, row.printed_6_2pt}}) {
      const double exact = power_at(row.questions, cell.flips, cell.margin);
      const double tolerance = 0.005 + 3 * std::sqrt(exact * (1 - exact) / 1500);
      if (std::abs(exact - cell.printed) > tolerance) {
        ++outside;
        EXPECT_EQ(row.questions, 500) << exact << " " << cell.printed;
        EXPECT_EQ(cell.printed, 0.99);
      }
    }
  }
  EXPECT_EQ(outside, 1);
}

TEST(NoninferiorityPower, MatchesAnIndependentEnumeration) {
  // Every table of (lost, gained) summed in another language.
  EXPECT_NEAR(power_at(50, 0.03, 0.04), 0.2656, 5e-5);
  EXPECT_NEAR(power_at(100, 0.06, 0.02), 0.1839, 5e-5);
  EXPECT_NEAR(power_at(200, 0.03, 0.04), 0.8849, 5e-5);
  EXPECT_NEAR(power_at(500, 0.03, 0.04), 0.9988, 5e-5);
  EXPECT_NEAR(power_at(500, 0.06, 0.02), 0.5563, 5e-5);
  EXPECT_NEAR(power_at(1319, 0.06, 0.02), 0.8995523694071841, 1e-9);
}

TEST(CountWithinPower, TheOldGatePassesHarmlessChangesAndLossesAlike) {
  constexpr double kBenign = 0.03;
  const auto passes = [](double loss) {
    return count_within_power({.questions = 50, .lose_rate = kBenign + loss, .gain_rate = kBenign},
                              2);
  };
  EXPECT_NEAR(passes(0), 0.86, 0.005);
  EXPECT_NEAR(passes(0.05), 0.49770135050649095, 1e-9);  // printed as 49 %
  EXPECT_NEAR(passes(0.10), 0.18, 0.005);
}

TEST(QuestionsWithoutLoss, AreTheThreePrintedNumbers) {
  EXPECT_EQ(questions_without_loss(0.04), 74);
  EXPECT_EQ(questions_without_loss(0.02), 149);
  EXPECT_EQ(questions_without_loss(0.01), 299);
}

TEST(QuestionsWithoutLoss, AgreeWithTheExactBound) {
  for (const double margin : {0.04, 0.02, 0.01}) {
    const std::int64_t questions = questions_without_loss(margin);
    EXPECT_LE(clopper_pearson_upper({.count = 0, .trials = questions}, 0.95), margin);
    EXPECT_GT(clopper_pearson_upper({.count = 0, .trials = questions - 1}, 0.95), margin);
  }
}

TEST(McnemarPower, NeverPassesAlphaWithoutANetLoss) {
  for (const std::int64_t questions : {10, 50, 300}) {
    const double power =
        mcnemar_power({.questions = questions, .lose_rate = 0.1, .gain_rate = 0.1});
    EXPECT_LE(power, 0.05);
    EXPECT_GT(power, 0);
  }
}

}  // namespace
}  // namespace nvllm::bench
