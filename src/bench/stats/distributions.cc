// Everything but the normal comes from one function, the incomplete beta with x and y = 1 - x both
// given: where one of them is tiny, subtracting it from one would lose it. Quantiles halve an
// interval until two neighbouring doubles are left; they are called a few times per report.

#include "bench/stats/distributions.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace nvllm::bench {

namespace {

/// log Gamma(x + 1) less Stirling's formula; what is left is small, so nothing cancels later.
double stirling_rest(double x) {
  if (x <= 15) {
    return std::lgamma(x + 1) - (x + 0.5) * std::log(x) + x - 0.5 * std::log(2 * std::numbers::pi);
  }
  const double s = 1 / (x * x);
  return (1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s / 1188)))) / x;
}

/// x log(x / m) + m - x, by a series where x is close to m (Loader's deviance part).
double deviance(double x, double m) {
  if (std::abs(x - m) >= 0.1 * (x + m)) return x * std::log(x / m) + m - x;
  const double v = (x - m) / (x + m);
  double sum = (x - m) * v;
  double term = 2 * x * v;
  for (int k = 3;; k += 2) {
    term *= v * v;
    const double next = sum + term / k;
    if (next == sum) return sum;
    sum = next;
  }
}

/// Gamma(n+1) / (Gamma(a+1) Gamma(b+1)) x^a y^b for n = a + b, y = 1 - x.
double binomial_density(double a, double b, double x, double y) {
  const double n = a + b;
  if (x == 0) return a == 0 ? 1 : 0;
  if (y == 0) return b == 0 ? 1 : 0;
  if (a == 0) return std::exp(n * (y < 0.5 ? std::log(y) : std::log1p(-x)));
  if (b == 0) return std::exp(n * (x < 0.5 ? std::log(x) : std::log1p(-y)));
  const double log_rest = stirling_rest(n) - stirling_rest(a) - stirling_rest(b) -
                          deviance(a, n * x) - deviance(b, n * y);
  return std::exp(log_rest) * std::sqrt(n / (2 * std::numbers::pi * a * b));
}

/// The continued fraction DLMF 8.17.22, good where x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const auto nudge = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1;
  double d = 1 / nudge(1 - (a + b) * x / (a + 1));
  double product = d;
  for (int m = 1; m <= 100'000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nudge(1 + even * d);
    c = nudge(1 + even / c);
    product *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nudge(1 + odd * d);
    c = nudge(1 + odd / c);
    product *= d * c;
    if (std::abs(d * c - 1) < 1e-16) break;
  }
  return product;
}

/// I_x(a, b) with y = 1 - x given.
double beta_xy(double a, double b, double x, double y) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  // x^a y^b / B(a, b), from the density: Gamma(a+b) = Gamma(a+b+1) / (a+b), and so on.
  const double front = binomial_density(a, b, x, y) * (a * b / (a + b));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, y) / b;
}

/// The root of a rising function, to the last bit; below(x) says that x is too small.
template <class Below>
double bisect(double low, double high, const Below& below) {
  while (true) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return middle;
    (below(middle) ? low : high) = middle;
  }
}

/// P(T > t) for t >= 0.
double student_upper_tail(double t, double df) {
  if (df == kInfiniteDf) return 0.5 * std::erfc(t / std::numbers::sqrt2);
  if (std::isinf(t)) return 0;
  const double square = t * t;
  if (std::isinf(square)) return 0.5 * beta_xy(df / 2, 0.5, df / t / t, 1);
  return 0.5 * beta_xy(df / 2, 0.5, df / (df + square), square / (df + square));
}

/// The t >= 0 with P(T > t) = tail, for 0 < tail <= 0.5.
double student_upper_quantile(double tail, double df) {
  double high = 1;
  while (student_upper_tail(high, df) > tail && high < 1e300) high *= 2;
  return bisect(0.0, high, [&](double t) { return student_upper_tail(t, df) > tail; });
}

void check_tally(Tally tally) {
  NVLLM_CHECK_LT(0, tally.trials);
  NVLLM_CHECK_LE(0, tally.count);
  NVLLM_CHECK_LE(tally.count, tally.trials);
}

}  // namespace

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

double normal_quantile(double p) { return student_t_quantile(p, kInfiniteDf); }

double student_t_cdf(double t, double df) {
  NVLLM_CHECK_LT(0.0, df);
  const double tail = student_upper_tail(std::abs(t), df);
  return t < 0 ? tail : 1 - tail;
}

double student_t_quantile(double p, double df) {
  NVLLM_CHECK_LT(0.0, df);
  NVLLM_CHECK(p >= 0 && p <= 1);
  if (p == 0) return -kInfiniteDf;
  if (p == 1) return kInfiniteDf;
  if (p == 0.5) return 0;
  return p < 0.5 ? -student_upper_quantile(p, df) : student_upper_quantile(1 - p, df);
}

double incomplete_beta(double a, double b, double x) {
  NVLLM_CHECK(a > 0 && b > 0);
  NVLLM_CHECK(x >= 0 && x <= 1);
  return beta_xy(a, b, x, 1 - x);
}

double incomplete_beta_inverse(double a, double b, double p) {
  NVLLM_CHECK(a > 0 && b > 0);
  NVLLM_CHECK(p >= 0 && p <= 1);
  if (p == 0 || p == 1) return p;
  if (p <= 0.5) return bisect(0.0, 1.0, [&](double x) { return beta_xy(a, b, x, 1 - x) < p; });
  return bisect(0.0, 1.0, [&](double x) { return beta_xy(b, a, 1 - x, x) > 1 - p; });
}

double binomial_pmf(Tally tally, double p) {
  if (tally.count < 0 || tally.count > tally.trials) return 0;
  return binomial_density(static_cast<double>(tally.count),
                          static_cast<double>(tally.trials - tally.count), p, 1 - p);
}

double binomial_cdf(Tally tally, double p) {
  if (tally.count < 0) return 0;
  if (tally.count >= tally.trials) return 1;
  return beta_xy(static_cast<double>(tally.trials - tally.count),
                 static_cast<double>(tally.count + 1), 1 - p, p);
}

double binomial_upper_tail(Tally tally, double p) {
  if (tally.count <= 0) return 1;
  if (tally.count > tally.trials) return 0;
  return beta_xy(static_cast<double>(tally.count),
                 static_cast<double>(tally.trials - tally.count + 1), p, 1 - p);
}

Interval clopper_pearson(Tally tally, double confidence) {
  check_tally(tally);
  NVLLM_CHECK(confidence > 0 && confidence < 1);
  const double tail = (1 - confidence) / 2;
  const auto k = static_cast<double>(tally.count);
  const auto n = static_cast<double>(tally.trials);
  Interval interval{.low = 0, .high = 1};
  if (tally.count > 0) interval.low = incomplete_beta_inverse(k, n - k + 1, tail);
  if (tally.count < tally.trials) interval.high = incomplete_beta_inverse(k + 1, n - k, 1 - tail);
  return interval;
}

double clopper_pearson_upper(Tally tally, double confidence) {
  check_tally(tally);
  NVLLM_CHECK(confidence > 0 && confidence < 1);
  if (tally.count == tally.trials) return 1;
  return incomplete_beta_inverse(static_cast<double>(tally.count + 1),
                                 static_cast<double>(tally.trials - tally.count), confidence);
}

}  // namespace nvllm::bench
