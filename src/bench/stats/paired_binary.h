#pragma once

// Two runs over the same questions, compared question by question. Totals are never compared: the
// questions that did not change carry no information.

#include <cstdint>

#include "bench/stats/interval.h"

namespace nvllm::bench {

/// The 2 x 2 table of a paired pass/fail comparison, less the cells that say nothing.
struct PairedCounts {
  std::int64_t questions = 0;
  std::int64_t lost = 0;    ///< right in the baseline, wrong in the candidate
  std::int64_t gained = 0;  ///< the other way round
};

/// Exact two-sided McNemar p: a fair coin over the discordant questions.
double mcnemar_p(const PairedCounts& counts);

/// Mid-p: half the weight of the table seen. Less conservative, not exact.
double mcnemar_mid_p(const PairedCounts& counts);

/// The score statistic of "the share gained minus the share lost is `difference`".
///   Errors: aborts unless -1 < difference < 1 and the counts fit the questions.
///   Source: Tango 1998, equations 4 to 6.
double tango_score(const PairedCounts& counts, double difference);

/// Interval of (gained - lost) / questions by inverting the score test; works at zero flips.
///   Units:  shares, candidate minus baseline; `level` such as 0.90.
Interval tango_interval(const PairedCounts& counts, double level);

/// Whether a one-sided score test at alpha shows that the loss is smaller than `margin` (a share).
[[nodiscard]] bool shows_noninferiority(const PairedCounts& counts, double margin,
                                        double alpha = 0.05);

/// What is known of an accuracy when some answers were cut off: [right, right + censored] / total.
struct AnswerCounts {
  std::int64_t right = 0;
  std::int64_t censored = 0;
  std::int64_t total = 0;
};
Interval accuracy_bounds(const AnswerCounts& counts);

}  // namespace nvllm::bench
