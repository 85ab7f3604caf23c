#include "bench/stats/moderated.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "bench/stats/distributions.h"

namespace nvllm::bench {
namespace {

TEST(Digamma, AndTrigammaMatchThirtyDigitArithmetic) {
  EXPECT_NEAR(digamma(0.5), -1.9635100260214235, 1e-14);
  EXPECT_NEAR(digamma(1), -std::numbers::egamma, 1e-14);
  EXPECT_NEAR(digamma(7.25), 1.910453526883736, 1e-14);
  EXPECT_NEAR(trigamma(0.5), 4.9348022005446793, 1e-13);
  EXPECT_NEAR(trigamma(1), std::numbers::pi * std::numbers::pi / 6, 1e-14);
  EXPECT_NEAR(trigamma(7.25), 0.14787923315893217, 1e-14);
}

/// Quantiles of s0^2 F(df, d0), evenly spread in probability: an ideal sample of that class.
std::vector<double> class_of_variances(double s0_squared, double df, double d0) {
  std::vector<double> out;
  constexpr int kCount = 4000;
  for (int i = 0; i < kCount; ++i) {
    const double x = incomplete_beta_inverse(df / 2, d0 / 2, (i + 0.5) / kCount);
    out.push_back(s0_squared * x / (1 - x) * d0 / df);
  }
  return out;
}

TEST(Moderate, RecoversTheClassThatTheVariancesCameFrom) {
  const std::vector<double> variances = class_of_variances(4e-6, 3, 8);
  const ModeratedVariances fit = moderate(variances, std::vector<double>(variances.size(), 3.0));
  // Spreading the sample evenly cuts its extreme tails, so the spread reads a little low.
  EXPECT_NEAR(fit.prior_df, 8, 0.3);
  EXPECT_NEAR(fit.prior_variance, 4e-6, 4e-6 * 0.02);
}

TEST(Moderate, WeighsOwnAndPriorByDegreesOfFreedom) {
  const std::vector<double> variances = {1e-6, 3e-6, 4e-5, 2e-7, 9e-6, 1.5e-6};
  const std::vector<double> dfs(variances.size(), 2.0);
  const ModeratedVariances fit = moderate(variances, dfs);
  ASSERT_TRUE(std::isfinite(fit.prior_df));
  for (std::size_t i = 0; i < variances.size(); ++i) {
    EXPECT_DOUBLE_EQ(fit.dfs[i], fit.prior_df + 2);
    EXPECT_NEAR(fit.variances[i],
                (fit.prior_df * fit.prior_variance + 2 * variances[i]) / fit.dfs[i], 1e-20);
    EXPECT_LT(std::abs(fit.variances[i] - fit.prior_variance),
              std::abs(variances[i] - fit.prior_variance));
  }
}

TEST(Moderate, PoolsCompletelyWhereVariancesAgree) {
  const std::array<double, 4> variances = {1.0e-6, 1.1e-6, 0.9e-6, 1.0e-6};
  const std::array<double, 4> dfs = {3, 3, 3, 3};
  const ModeratedVariances fit = moderate(variances, dfs);
  EXPECT_EQ(fit.prior_df, kInfiniteDf);
  for (const double variance : fit.variances) EXPECT_EQ(variance, fit.prior_variance);
}

TEST(Moderate, SurvivesAKernelWithoutScatter) {
  const ModeratedVariances fit =
      moderate(std::array<double, 3>{0.0, 1e-6, 2e-6}, std::array<double, 3>{2.0, 2.0, 2.0});
  for (const double variance : fit.variances) EXPECT_TRUE(variance > 0 && std::isfinite(variance));
}

TEST(ModeratedSummary, GainsDegreesOfFreedomAndKeepsTheMean) {
  const PairedSummary own = summarise(std::array<double, 3>{0.010, 0.012, 0.011});
  const PairedSummary moderated = moderated_summary(own, 4e-6, 10);
  EXPECT_EQ(moderated.mean, own.mean);
  EXPECT_EQ(moderated.df, 10);
  EXPECT_NEAR(moderated.standard_error, 0.002 / std::sqrt(3.0), 1e-15);
}

}  // namespace
}  // namespace nvllm::bench
