// With the scatter estimated as u times the true one, the t-interval has a half width of t u, so
// every power here is an integral over u of a normal probability times the density of u (a chi
// divided by the root of its degrees of freedom).

#include "bench/stats/power.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/check.h"
#include "bench/stats/distributions.h"

namespace nvllm::bench {

namespace {

/// Density of sqrt(chi^2_df / df).
double scatter_density(double u, double df) {
  if (u <= 0) return df == 1 ? std::sqrt(2 / std::numbers::pi) : 0;
  const double half = df / 2;
  return std::exp(std::log(2.0) + half * std::log(half) - std::lgamma(half) +
                  (df - 1) * std::log(u) - half * u * u);
}

/// Integrates f(u) times the density of u over low..high: panels of five-point Gauss-Legendre. The
/// panels are a twenty-fifth of the density's width, where the rule is exact to about 1e-14.
template <class F>
double average_over_scatter(double df, double limit, const F& f) {
  constexpr std::array<double, 3> kNodes = {0.0, 0.5384693101056831, 0.9061798459386640};
  constexpr std::array<double, 3> kWeights = {0.5688888888888889, 0.4786286704993665,
                                              0.2369268850561891};
  constexpr int kPanels = 500;
  const double reach = 10 / std::sqrt(2 * df);
  const double low = std::max(0.0, 1 - reach);
  const double high = std::min(limit, 1 + reach);
  if (high <= low) return 0;
  const double half = (high - low) / kPanels / 2;
  double sum = 0;
  for (int panel = 0; panel < kPanels; ++panel) {
    const double middle = low + half * (2 * panel + 1);
    sum += kWeights[0] * f(middle) * scatter_density(middle, df);
    for (std::size_t i = 1; i < kNodes.size(); ++i) {
      for (const double u : {middle - half * kNodes[i], middle + half * kNodes[i]}) {
        sum += kWeights[i] * f(u) * scatter_density(u, df);
      }
    }
  }
  return std::clamp(sum * half, 0.0, 1.0);
}

/// Of the mean of the paired log ratios.
double standard_error(const PairedDesign& design) {
  NVLLM_CHECK_LE(2, design.rounds);
  NVLLM_CHECK_LT(0.0, design.boot_scatter);
  return design.boot_scatter * std::sqrt(2.0 / static_cast<double>(design.rounds));
}

/// The fewest rounds with power(rounds) >= wanted; power rises with rounds.
template <class Power>
std::optional<std::int64_t> fewest_rounds(std::int64_t rounds_max, double wanted,
                                          const Power& power) {
  std::int64_t enough = 2;
  while (enough < rounds_max && power(enough) < wanted) enough = std::min(2 * enough, rounds_max);
  if (rounds_max < 2 || power(enough) < wanted) return std::nullopt;
  std::int64_t few = std::max<std::int64_t>(1, enough / 2);  // known, or assumed, to be too few
  while (enough - few > 1) {
    const std::int64_t middle = few + (enough - few) / 2;
    (power(middle) < wanted ? few : enough) = middle;
  }
  return enough;
}

}  // namespace

double tost_power(const PairedDesign& design, double margin) {
  NVLLM_CHECK_LT(0.0, margin);
  const double se = standard_error(design);
  const double df = static_cast<double>(design.rounds - 1);
  const double t = student_t_quantile(1 - design.alpha, df);
  const double bound = std::log1p(margin) / se;
  const double shift = std::log1p(design.true_difference) / se;
  return average_over_scatter(df, bound / t, [&](double u) {
    const double room = bound - t * u;
    return normal_cdf(room - shift) - normal_cdf(-room - shift);
  });
}

double difference_power(const PairedDesign& design) {
  const double se = standard_error(design);
  const double df = static_cast<double>(design.rounds - 1);
  const double t = -student_t_quantile(design.alpha / 2, df);
  const double shift = std::log1p(design.true_difference) / se;
  return average_over_scatter(df, kInfiniteDf, [&](double u) {
    return normal_cdf(shift - t * u) + normal_cdf(-shift - t * u);
  });
}

double one_sided_power(std::int64_t rounds, double effect, double alpha) {
  NVLLM_CHECK_LE(2, rounds);
  const double df = static_cast<double>(rounds - 1);
  const double t = student_t_quantile(1 - alpha, df);
  const double shift = effect * std::sqrt(static_cast<double>(rounds));
  return average_over_scatter(df, kInfiniteDf, [&](double u) { return normal_cdf(shift - t * u); });
}

std::optional<std::int64_t> rounds_for_tost(PairedDesign design, double margin, double wanted,
                                            std::int64_t rounds_max) {
  return fewest_rounds(rounds_max, wanted, [&](std::int64_t rounds) {
    design.rounds = rounds;
    return tost_power(design, margin);
  });
}

std::optional<std::int64_t> rounds_for_difference(PairedDesign design, double wanted,
                                                  std::int64_t rounds_max) {
  return fewest_rounds(rounds_max, wanted, [&](std::int64_t rounds) {
    design.rounds = rounds;
    return difference_power(design);
  });
}

std::optional<std::int64_t> rounds_for_one_sided(double effect, double alpha, double wanted,
                                                 std::int64_t rounds_max) {
  return fewest_rounds(rounds_max, wanted,
                       [&](std::int64_t rounds) { return one_sided_power(rounds, effect, alpha); });
}

double detectable_difference(PairedDesign design, double wanted) {
  NVLLM_CHECK(wanted > design.alpha && wanted < 1);
  const auto power = [&](double difference) {
    design.true_difference = difference;
    return difference_power(design);
  };
  double low = 0;
  double high = design.boot_scatter;
  while (power(high) < wanted) high *= 2;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (power(middle) < wanted ? low : high) = middle;
  }
  return high;
}

}  // namespace nvllm::bench
