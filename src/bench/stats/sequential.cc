// Between looks the sum of the data is a Brownian motion in the share of information. Its density
// on the paths that have not crossed is carried from look to look on a grid, by Simpson's rule.

#include "bench/stats/sequential.h"

#include <cmath>
#include <cstdint>
#include <numbers>

#include "base/check.h"
#include "bench/stats/distributions.h"

namespace nvllm::bench {

namespace {

constexpr std::size_t kGridPoints = 1001;  // odd, for Simpson

/// Closer looks than this would be narrower than eight points of the grid.
constexpr double kShareStepMin = 1e-3;

/// Density of the sum at one look, on the paths that went on; symmetric around zero.
struct Density {
  double bound = 0;  ///< zero outside -bound..bound
  std::vector<double> values;

  double step() const { return 2 * bound / static_cast<double>(kGridPoints - 1); }
  double at(std::size_t i) const { return -bound + step() * static_cast<double>(i); }
};

double normal_density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }

/// Integrates f(s) times the density.
template <class F>
double integrate(const Density& density, const F& f) {
  double sum = 0;
  for (std::size_t i = 0; i < kGridPoints; ++i) {
    const double weight = i == 0 || i + 1 == kGridPoints ? 1 : (i % 2 == 1 ? 4 : 2);
    sum += weight * density.values[i] * f(density.at(i));
  }
  return sum * density.step() / 3;
}

/// The bound of the next sum that is passed, on either side, with chance `spend`.
double next_bound(const Density& density, double sigma, double spend) {
  double low = 0;
  double high = density.bound + 40 * sigma;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    const double crossed = integrate(density, [&](double s) {
      return normal_cdf((s - middle) / sigma) + normal_cdf((-s - middle) / sigma);
    });
    (crossed > spend ? low : high) = middle;
  }
  return high;
}

Density carried(const Density& density, double sigma, double bound) {
  Density next{.bound = bound, .values = std::vector<double>(kGridPoints)};
  for (std::size_t i = 0; i < kGridPoints; ++i) {
    const double to = next.at(i);
    next.values[i] =
        integrate(density, [&](double s) { return normal_density((to - s) / sigma) / sigma; });
  }
  return next;
}

}  // namespace

double spent_alpha(double alpha, double information_share) {
  NVLLM_CHECK(alpha > 0 && alpha < 1);
  NVLLM_CHECK(information_share > 0 && information_share <= 1);
  return 4 * normal_cdf(normal_quantile(alpha / 4) / std::sqrt(information_share));
}

std::vector<double> look_levels(double alpha, std::span<const double> information_shares) {
  NVLLM_CHECK_LE(information_shares.size(), 20u);
  std::vector<double> levels;
  Density density;
  double share_before = 0;
  double spent_before = 0;
  for (const double share : information_shares) {
    NVLLM_CHECK_LE(kShareStepMin, share - share_before);
    const double spent = spent_alpha(alpha, share);
    const double sigma = std::sqrt(share - share_before);
    const bool first = share_before == 0;
    const double bound = first ? -normal_quantile(spent / 2) * sigma
                               : next_bound(density, sigma, spent - spent_before);
    levels.push_back(2 * normal_cdf(-bound / std::sqrt(share)));
    if (first) {
      density = {.bound = bound, .values = std::vector<double>(kGridPoints)};
      for (std::size_t i = 0; i < kGridPoints; ++i)
        density.values[i] = normal_density(density.at(i) / sigma) / sigma;
    } else {
      density = carried(density, sigma, bound);
    }
    share_before = share;
    spent_before = spent;
  }
  return levels;
}

}  // namespace nvllm::bench
