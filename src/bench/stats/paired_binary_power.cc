// Every figure is a sum over the number of discordant questions, which is binomial; given that
// number, so is the number of lost ones. Both tests used here reject, for a given number of
// discordant questions, up to some number of one kind: one cumulative probability each.

#include "bench/stats/paired_binary_power.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "bench/stats/distributions.h"
#include "bench/stats/paired_binary.h"

namespace nvllm::bench {

namespace {

void check_design(const QuestionDesign& design) {
  NVLLM_CHECK_LT(0, design.questions);
  NVLLM_CHECK(design.lose_rate >= 0 && design.gain_rate >= 0);
  NVLLM_CHECK_LE(design.lose_rate + design.gain_rate, 1.0);
}

/// Sums given(discordant, chance that a discordant question is a lost one) over the discordant
/// counts.
template <class Given>
double average_over_discordant(const QuestionDesign& design, const Given& given) {
  const double flip_rate = design.lose_rate + design.gain_rate;
  const double lost_share = flip_rate > 0 ? design.lose_rate / flip_rate : 0;
  double sum = 0;
  for (std::int64_t discordant = 0; discordant <= design.questions; ++discordant) {
    const double weight =
        binomial_pmf({.count = discordant, .trials = design.questions}, flip_rate);
    // 1320 terms below 1e-18 cannot be seen in a probability printed to 1e-12.
    if (weight > 1e-18) sum += weight * given(discordant, lost_share);
  }
  return std::min(1.0, sum);
}

/// The largest number of the rarer kind of flip with mcnemar_p <= alpha, or -1, per discordant
/// count.
std::vector<std::int64_t> critical_counts(std::int64_t questions, double alpha) {
  std::vector<std::int64_t> critical;
  std::int64_t count = -1;
  for (std::int64_t discordant = 0; discordant <= questions; ++discordant) {
    // One flip more lets the critical count rise by at most one.
    const PairedCounts next{.questions = std::max<std::int64_t>(1, discordant),
                            .lost = discordant - (count + 1),
                            .gained = count + 1};
    if (next.lost > next.gained && mcnemar_p(next) <= alpha) ++count;
    critical.push_back(count);
  }
  return critical;
}

/// The chance of a significant loss.
double loss_power(const QuestionDesign& design, const std::vector<std::int64_t>& critical) {
  return average_over_discordant(design, [&](std::int64_t discordant, double lost_share) {
    const std::int64_t gained_max = critical[static_cast<std::size_t>(discordant)];
    return binomial_cdf({.count = gained_max, .trials = discordant}, 1 - lost_share);
  });
}

/// The most questions lost, of those discordant, that still show non-inferiority; -1 where none
/// does.
std::int64_t lost_max(std::int64_t questions, std::int64_t discordant, double margin,
                      double critical_score) {
  std::int64_t good = -1;
  std::int64_t bad = discordant + 1;
  while (bad - good > 1) {
    const std::int64_t lost = good + (bad - good) / 2;
    const PairedCounts counts{.questions = questions, .lost = lost, .gained = discordant - lost};
    (tango_score(counts, -margin) > critical_score ? good : bad) = lost;
  }
  return good;
}

}  // namespace

double mcnemar_power(const QuestionDesign& design, double alpha) {
  check_design(design);
  NVLLM_CHECK(alpha > 0 && alpha < 1);
  const std::vector<std::int64_t> critical = critical_counts(design.questions, alpha);
  const QuestionDesign mirrored{
      .questions = design.questions, .lose_rate = design.gain_rate, .gain_rate = design.lose_rate};
  return loss_power(design, critical) + loss_power(mirrored, critical);
}

double detectable_net_loss(std::int64_t questions, double benign_rate, double wanted,
                           double alpha) {
  NVLLM_CHECK(benign_rate >= 0 && benign_rate < 0.5);
  NVLLM_CHECK(wanted > alpha && wanted < 1);
  const std::vector<std::int64_t> critical = critical_counts(questions, alpha);
  const auto power = [&](double loss) {
    return loss_power(
        {.questions = questions, .lose_rate = benign_rate + loss, .gain_rate = benign_rate},
        critical);
  };
  double low = 0;
  double high = 1 - 2 * benign_rate;
  if (power(high) < wanted) return kInfiniteDf;
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (power(middle) < wanted ? low : high) = middle;
  }
  return high;
}

double noninferiority_power(const QuestionDesign& design, double margin, double alpha) {
  check_design(design);
  NVLLM_CHECK(margin > 0 && margin < 1);
  NVLLM_CHECK(alpha > 0 && alpha < 0.5);
  const double critical_score = -normal_quantile(alpha);
  return average_over_discordant(design, [&](std::int64_t discordant, double lost_share) {
    const std::int64_t most = lost_max(design.questions, discordant, margin, critical_score);
    return binomial_cdf({.count = most, .trials = discordant}, lost_share);
  });
}

double count_within_power(const QuestionDesign& design, std::int64_t k) {
  check_design(design);
  NVLLM_CHECK_LE(0, k);
  return average_over_discordant(design, [&](std::int64_t discordant, double lost_share) {
    // |lost - gained| = |2 lost - discordant| <= k
    const std::int64_t most = (discordant + k) / 2;
    const std::int64_t least = std::max<std::int64_t>(0, discordant - most);
    return binomial_cdf({.count = most, .trials = discordant}, lost_share) -
           binomial_cdf({.count = least - 1, .trials = discordant}, lost_share);
  });
}

std::int64_t questions_without_loss(double margin, double confidence) {
  NVLLM_CHECK(margin > 0 && margin < 1);
  NVLLM_CHECK(confidence > 0 && confidence < 1);
  return static_cast<std::int64_t>(std::ceil(std::log1p(-confidence) / std::log1p(-margin)));
}

}  // namespace nvllm::bench
