#include "bench/stats/moderated.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "bench/stats/distributions.h"

namespace nvllm::bench {

namespace {

/// The x > 0 with trigamma(x) = value. trigamma falls, and 1/x < trigamma(x) < 1/x + 1/x^2.
double trigamma_inverse(double value) {
  double low = 1 / value;
  double high = 0.5 + 1 / value;
  while (trigamma(high) > value) high *= 2;
  for (int i = 0; i < 200; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (trigamma(middle) > value ? low : high) = middle;
  }
  return low;
}

std::vector<double> raised_from_zero(std::span<const double> variances) {
  std::vector<double> sorted(variances.begin(), variances.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t half = sorted.size() / 2;
  const double median =
      sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  // Where more than half are zero there is no scale to take; the smallest normal keeps logarithms
  // finite.
  const double floor = std::max(1e-5 * median, std::numeric_limits<double>::min());
  std::vector<double> raised(variances.begin(), variances.end());
  for (double& variance : raised) variance = std::max(variance, floor);
  return raised;
}

struct Prior {
  double variance = 0;
  double df = 0;
};

/// Matches mean and variance of log s^2 with those of the logarithm of a scaled F.
Prior fit_prior(std::span<const double> variances, std::span<const double> dfs) {
  const auto n = static_cast<double>(variances.size());
  std::vector<double> residuals;
  double mean = 0;
  double own_spread = 0;
  for (std::size_t i = 0; i < variances.size(); ++i) {
    residuals.push_back(std::log(variances[i]) - digamma(dfs[i] / 2) + std::log(dfs[i] / 2));
    mean += residuals.back() / n;
    own_spread += trigamma(dfs[i] / 2) / n;
  }
  double spread = 0;
  for (const double residual : residuals) spread += (residual - mean) * (residual - mean) / (n - 1);
  const double excess = spread - own_spread;
  if (excess <= 0) return {.variance = std::exp(mean), .df = kInfiniteDf};
  const double df = 2 * trigamma_inverse(excess);
  return {.variance = std::exp(mean + digamma(df / 2) - std::log(df / 2)), .df = df};
}

}  // namespace

double digamma(double x) {
  NVLLM_CHECK_LT(0.0, x);
  double shift = 0;
  for (; x < 12; ++x) shift -= 1 / x;
  const double s = 1 / (x * x);
  return shift + std::log(x) - 0.5 / x -
         s * (1.0 / 12 - s * (1.0 / 120 - s * (1.0 / 252 - s * (1.0 / 240 - s / 132))));
}

double trigamma(double x) {
  NVLLM_CHECK_LT(0.0, x);
  double shift = 0;
  for (; x < 12; ++x) shift += 1 / (x * x);
  const double s = 1 / (x * x);
  return shift + 1 / x + s / 2 +
         s / x * (1.0 / 6 - s * (1.0 / 30 - s * (1.0 / 42 - s * (1.0 / 30 - s * 5 / 66))));
}

ModeratedVariances moderate(std::span<const double> variances, std::span<const double> dfs) {
  NVLLM_CHECK_EQ(variances.size(), dfs.size());
  NVLLM_CHECK_LE(2u, variances.size());
  for (const double variance : variances) NVLLM_CHECK(variance >= 0 && std::isfinite(variance));
  for (const double df : dfs) NVLLM_CHECK(df > 0 && std::isfinite(df));
  const Prior prior = fit_prior(raised_from_zero(variances), dfs);
  ModeratedVariances out{
      .prior_variance = prior.variance, .prior_df = prior.df, .variances = {}, .dfs = {}};
  for (std::size_t i = 0; i < variances.size(); ++i) {
    const bool all_prior = prior.df == kInfiniteDf;
    out.dfs.push_back(prior.df + dfs[i]);
    out.variances.push_back(all_prior ? prior.variance
                                      : (prior.df * prior.variance + dfs[i] * variances[i]) /
                                            (prior.df + dfs[i]));
  }
  return out;
}

PairedSummary moderated_summary(const PairedSummary& summary, double variance, double df) {
  PairedSummary out = summary;
  out.sd = std::sqrt(variance);
  out.standard_error = out.sd / std::sqrt(static_cast<double>(summary.rounds));
  out.df = df;
  return out;
}

}  // namespace nvllm::bench
