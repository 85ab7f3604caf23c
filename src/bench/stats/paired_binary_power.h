#pragma once

// What a number of questions can show. All figures are exact sums over the multinomial of (lost,
// gained, unchanged); nothing is simulated.

#include <cstdint>

namespace nvllm::bench {

/// A paired pass/fail comparison that is planned.
struct QuestionDesign {
  std::int64_t questions = 0;
  double lose_rate = 0;  ///< chance that a question turns from right to wrong
  double gain_rate = 0;
};

/// The chance that the exact two-sided McNemar test has p <= alpha.
double mcnemar_power(const QuestionDesign& design, double alpha = 0.05);

/// The smallest net loss (a share) found with chance `wanted` when each side also has benign flips.
///   Units:  `benign_rate` per side: questions are lost at benign_rate + loss, gained at
///           benign_rate. Infinity where no loss is found with that chance.
double detectable_net_loss(std::int64_t questions, double benign_rate, double wanted = 0.8,
                           double alpha = 0.05);

/// The chance that the Tango score test shows a loss smaller than `margin` (a share).
double noninferiority_power(const QuestionDesign& design, double margin, double alpha = 0.05);

/// The chance that the totals differ by at most `k` questions either way: the old gate.
double count_within_power(const QuestionDesign& design, std::int64_t k);

/// The fewest questions that, without one loss, show a loss rate below `margin` (a share).
std::int64_t questions_without_loss(double margin, double confidence = 0.95);

}  // namespace nvllm::bench
