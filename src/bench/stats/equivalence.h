#pragma once

// "Within 2 %" is a claim about an interval, not about a point. One boot of the server is one
// sample: a log ratio of candidate over baseline, paired by round.

#include <cstdint>
#include <span>
#include <string_view>

#include "bench/stats/interval.h"

namespace nvllm::bench {

/// Where the scatter of a summary comes from. Borrowed noise (one round, or a stored noise floor)
/// makes every conclusion PROVISIONAL.
enum class NoiseSource { kRounds, kBorrowed };

/// Mean and scatter of paired samples, one per round.
struct PairedSummary {
  std::int64_t rounds = 0;
  double mean = 0;
  double sd = 0;              ///< of one paired sample
  double standard_error = 0;  ///< of the mean
  double df = 0;              ///< kInfiniteDf where the noise is borrowed
  NoiseSource noise = NoiseSource::kRounds;
};

/// Summarises samples by their own scatter.
///   Errors: aborts below two samples: one boot has no scatter of its own.
PairedSummary summarise(std::span<const double> samples);

/// Summarises samples by a noise floor measured elsewhere.
///   Units:  `boot_sigma` is the standard deviation of one boot's log time; a ratio of two boots
///           has sqrt(2) times that.
///   Errors: aborts without a sample, or if boot_sigma is negative.
PairedSummary summarise_borrowed(std::span<const double> samples, double boot_sigma);

/// The interval of the mean at a level such as 0.90; normal quantile where the noise is borrowed.
Interval mean_interval(const PairedSummary& summary, double level);

/// p of the two one-sided tests that the mean lies within +-log_margin: the larger of the two.
double tost_p(const PairedSummary& summary, double log_margin);

/// Two-sided p of the mean being zero.
double difference_p(const PairedSummary& summary);

/// One-sided p of the mean being zero or less, against a positive mean.
double positive_p(const PairedSummary& summary);

/// What an interval of log ratios says about a margin. Positive means a slower candidate.
enum class Outcome {
  kEquivalent,         ///< inside the margin, contains zero
  kEquivalentShifted,  ///< inside the margin, excludes zero: real but immaterial
  kSlower,             ///< entirely above the margin
  kFaster,             ///< entirely below the margin
  kShifted,            ///< excludes zero, straddles the margin
  kInconclusive,       ///< contains zero, straddles the margin
};

/// "EQUIVALENT", "EQUIVALENT_SHIFTED", ...
std::string_view to_string(Outcome outcome);

/// Reads the outcome off an interval.
[[nodiscard]] Outcome judge(Interval interval, double log_margin);

/// The whole answer about one paired comparison.
struct Equivalence {
  PairedSummary summary;
  Interval interval;  ///< at level 1 - 2 alpha, in log units
  double p_tost = 1;
  double p_difference = 1;
  Outcome outcome = Outcome::kInconclusive;
};

/// Tests equivalence at a margin: two one-sided tests at `alpha`, which is the interval at level
/// 1 - 2 alpha inside +-log(1 + margin).
///   Units:  `margin` as a share (0.02 for 2 %).
[[nodiscard]] Equivalence test_equivalence(const PairedSummary& summary, double margin,
                                           double alpha = 0.05);

}  // namespace nvllm::bench
