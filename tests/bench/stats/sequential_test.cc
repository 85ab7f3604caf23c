#include "bench/stats/sequential.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "bench/stats/distributions.h"

namespace nvllm::bench {
namespace {

std::vector<double> equal_shares(int looks) {
  std::vector<double> shares;
  for (int look = 1; look <= looks; ++look) shares.push_back(static_cast<double>(look) / looks);
  return shares;
}

TEST(LookLevels, MatchThePublishedBoundsForEqualLooks) {
  // Two-sided 5 %, Lan-DeMets spending like O'Brien and Fleming's: the z bounds found in textbooks.
  const std::vector<std::vector<double>> kBounds = {{1.9600},
                                                    {2.9626, 1.9686},
                                                    {3.7103, 2.5114, 1.9930},
                                                    {4.3326, 2.9631, 2.3590, 2.0141},
                                                    {4.8769, 3.3569, 2.6803, 2.2898, 2.0310}};
  for (const std::vector<double>& bounds : kBounds) {
    const std::vector<double> levels =
        look_levels(0.05, equal_shares(static_cast<int>(bounds.size())));
    for (std::size_t look = 0; look < bounds.size(); ++look) {
      // The published programs integrate on coarse grids: good to one unit of the last digit
      // printed.
      EXPECT_NEAR(-normal_quantile(levels[look] / 2), bounds[look], 1.5e-4)
          << bounds.size() << " looks, " << look;
    }
  }
}

TEST(LookLevels, MatchAFineIntegration) {
  // Second of five looks, integrated with 15 digits elsewhere; textbooks print 3.3569.
  EXPECT_NEAR(-normal_quantile(look_levels(0.05, equal_shares(5))[1] / 2), 3.35701192157465, 1e-9);
}

TEST(SpentAlpha, RisesFromAlmostNothingToAlpha) {
  EXPECT_NEAR(spent_alpha(0.05, 1), 0.05, 1e-15);
  EXPECT_NEAR(spent_alpha(0.05, 0.5), 2 * (2 * normal_cdf(-2.2414027276049495 * std::sqrt(2.0))),
              1e-15);
  EXPECT_LT(spent_alpha(0.05, 0.1), 1e-8);
}

TEST(LookLevels, OneLookAtTheEndCostsNothing) {
  EXPECT_NEAR(look_levels(0.05, std::array<double, 1>{1.0})[0], 0.05, 1e-12);
}

TEST(LookLevels, UnevenLooksStillEndBelowAlpha) {
  const std::vector<double> levels = look_levels(0.05, std::array<double, 3>{0.5, 0.6, 1.0});
  EXPECT_NEAR(levels[0], spent_alpha(0.05, 0.5), 1e-12);
  EXPECT_GT(levels[1], spent_alpha(0.05, 0.6) - spent_alpha(0.05, 0.5));
  EXPECT_LT(levels[2], 0.05);
}

TEST(LookLevelsDeath, RefusesSharesThatDoNotRise) {
  EXPECT_DEATH(static_cast<void>(look_levels(0.05, std::array<double, 2>{0.5, 0.5})), "share");
}

}  // namespace
}  // namespace nvllm::bench
