#pragma once

// The distributions that the tests of the bench stand on. Written for accuracy in the tails: each
// tail is computed as itself, never as one minus the other.

#include <cstdint>
#include <limits>

#include "bench/stats/interval.h"

namespace nvllm::bench {

/// As degrees of freedom: the normal distribution, where the noise is known and not estimated.
inline constexpr double kInfiniteDf = std::numeric_limits<double>::infinity();

/// P(Z <= x) of a standard normal Z.
double normal_cdf(double x);

/// The x with normal_cdf(x) = p. Minus or plus infinity at 0 and 1.
///   Errors: aborts unless 0 <= p <= 1.
double normal_quantile(double p);

/// P(T <= t) of Student's t. `df` may be fractional or kInfiniteDf.
///   Errors: aborts unless df > 0.
double student_t_cdf(double t, double df);

/// The t with student_t_cdf(t, df) = p. Minus or plus infinity at 0 and 1.
///   Errors: aborts unless df > 0 and 0 <= p <= 1.
double student_t_quantile(double p, double df);

/// I_x(a, b), the regularised incomplete beta function. Relative error about 1e-13 for a, b below
/// 1e4.
///   Errors: aborts unless a, b > 0 and 0 <= x <= 1.
///   Source: DLMF 8.17.22, evaluated by the modified Lentz method; the factor in front by Loader
///           (2000), so that large a and b cancel nothing.
double incomplete_beta(double a, double b, double x);

/// The x with incomplete_beta(a, b, x) = p.
///   Errors: aborts unless a, b > 0 and 0 <= p <= 1.
double incomplete_beta_inverse(double a, double b, double p);

/// How often something happened in a number of independent tries.
struct Tally {
  std::int64_t count = 0;
  std::int64_t trials = 0;
};

/// P(X = count) of X ~ Binomial(trials, p).
double binomial_pmf(Tally tally, double p);

/// P(X <= count); 0 for a negative count.
double binomial_cdf(Tally tally, double p);

/// P(X >= count); 1 for a count of 0 or less.
double binomial_upper_tail(Tally tally, double p);

/// The exact two-sided interval of a share (Clopper and Pearson 1934).
///   Units:  `confidence` such as 0.95, half of the rest in each tail.
///   Errors: aborts unless 0 <= count <= trials, trials > 0 and 0 < confidence < 1.
Interval clopper_pearson(Tally tally, double confidence);

/// The one-sided exact upper bound of a share: 50 tries without an event and 0.95 give 0.058.
double clopper_pearson_upper(Tally tally, double confidence);

}  // namespace nvllm::bench
