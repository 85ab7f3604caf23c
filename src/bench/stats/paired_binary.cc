#include "bench/stats/paired_binary.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "bench/stats/distributions.h"

namespace nvllm::bench {

namespace {

void check_counts(const PairedCounts& counts) {
  NVLLM_CHECK_LT(0, counts.questions);
  NVLLM_CHECK(counts.lost >= 0 && counts.gained >= 0);
  NVLLM_CHECK_LE(counts.lost + counts.gained, counts.questions);
}

/// The difference in (low, high) at which the falling score passes `wanted`.
double difference_at_score(const PairedCounts& counts, double wanted, Interval within) {
  double low = within.low;
  double high = within.high;
  for (int i = 0; i < 100; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (tango_score(counts, middle) > wanted ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

}  // namespace

double mcnemar_p(const PairedCounts& counts) {
  check_counts(counts);
  const std::int64_t discordant = counts.lost + counts.gained;
  if (discordant == 0) return 1;
  return std::min(
      1.0,
      2 * binomial_cdf({.count = std::min(counts.lost, counts.gained), .trials = discordant}, 0.5));
}

double mcnemar_mid_p(const PairedCounts& counts) {
  check_counts(counts);
  const std::int64_t discordant = counts.lost + counts.gained;
  if (discordant == 0 || counts.lost == counts.gained) return 1;
  const Tally fewer{.count = std::min(counts.lost, counts.gained), .trials = discordant};
  return 2 * binomial_cdf(fewer, 0.5) - binomial_pmf(fewer, 0.5);
}

double tango_score(const PairedCounts& counts, double difference) {
  check_counts(counts);
  NVLLM_CHECK(difference > -1 && difference < 1);
  const auto n = static_cast<double>(counts.questions);
  const auto gained = static_cast<double>(counts.gained);
  const auto lost = static_cast<double>(counts.lost);
  // The chance of losing a question, by maximum likelihood under the difference: a root of a q^2 +
  // b q + c.
  const double a = 2 * n;
  const double b = -gained - lost + (2 * n - gained + lost) * difference;
  const double c = -lost * difference * (1 - difference);
  const double lose_rate = (std::sqrt(std::max(0.0, b * b - 4 * a * c)) - b) / (2 * a);
  const double variance = n * (2 * lose_rate + difference * (1 - difference));
  const double excess = gained - lost - n * difference;
  if (variance <= 0) return excess == 0 ? 0 : std::copysign(kInfiniteDf, excess);
  return excess / std::sqrt(variance);
}

Interval tango_interval(const PairedCounts& counts, double level) {
  check_counts(counts);
  NVLLM_CHECK(level > 0 && level < 1);
  const double z = -normal_quantile((1 - level) / 2);
  const double seen =
      static_cast<double>(counts.gained - counts.lost) / static_cast<double>(counts.questions);
  return {.low = seen <= -1 ? -1 : difference_at_score(counts, z, {.low = -1, .high = seen}),
          .high = seen >= 1 ? 1 : difference_at_score(counts, -z, {.low = seen, .high = 1})};
}

bool shows_noninferiority(const PairedCounts& counts, double margin, double alpha) {
  NVLLM_CHECK(margin > 0 && margin < 1);
  NVLLM_CHECK(alpha > 0 && alpha < 0.5);
  return tango_score(counts, -margin) > -normal_quantile(alpha);
}

Interval accuracy_bounds(const AnswerCounts& counts) {
  NVLLM_CHECK_LT(0, counts.total);
  NVLLM_CHECK(counts.right >= 0 && counts.censored >= 0);
  NVLLM_CHECK_LE(counts.right + counts.censored, counts.total);
  const auto total = static_cast<double>(counts.total);
  return {.low = static_cast<double>(counts.right) / total,
          .high = static_cast<double>(counts.right + counts.censored) / total};
}

}  // namespace nvllm::bench
