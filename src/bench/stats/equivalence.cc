// Student's t on log ratios. Borrowed noise is treated as known: infinite degrees of freedom.

#include "bench/stats/equivalence.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "bench/stats/distributions.h"

namespace nvllm::bench {

namespace {

double mean_of(std::span<const double> samples) {
  double sum = 0;
  for (const double sample : samples) sum += sample;
  return sum / static_cast<double>(samples.size());
}

/// P(T <= (mean - at) / se). Without scatter the mean is beyond doubt: 0, 1, or a coin on the spot
/// itself.
double lower_tail(const PairedSummary& summary, double at) {
  const double distance = summary.mean - at;
  if (summary.standard_error == 0) return distance == 0 ? 0.5 : (distance > 0 ? 1 : 0);
  return student_t_cdf(distance / summary.standard_error, summary.df);
}

/// P(T >= (mean - at) / se), as its own tail so that tiny values survive.
double upper_tail(const PairedSummary& summary, double at) {
  const double distance = summary.mean - at;
  if (summary.standard_error == 0) return distance == 0 ? 0.5 : (distance > 0 ? 0 : 1);
  return student_t_cdf(-distance / summary.standard_error, summary.df);
}

}  // namespace

PairedSummary summarise(std::span<const double> samples) {
  NVLLM_CHECK_LE(2u, samples.size());
  PairedSummary summary;
  summary.rounds = static_cast<std::int64_t>(samples.size());
  summary.mean = mean_of(samples);
  double squares = 0;
  for (const double sample : samples) squares += (sample - summary.mean) * (sample - summary.mean);
  summary.df = static_cast<double>(summary.rounds - 1);
  summary.sd = std::sqrt(squares / summary.df);
  summary.standard_error = summary.sd / std::sqrt(static_cast<double>(summary.rounds));
  return summary;
}

PairedSummary summarise_borrowed(std::span<const double> samples, double boot_sigma) {
  NVLLM_CHECK(!samples.empty());
  NVLLM_CHECK_LE(0.0, boot_sigma);
  PairedSummary summary;
  summary.rounds = static_cast<std::int64_t>(samples.size());
  summary.mean = mean_of(samples);
  summary.sd = std::sqrt(2.0) * boot_sigma;
  summary.standard_error = summary.sd / std::sqrt(static_cast<double>(summary.rounds));
  summary.df = kInfiniteDf;
  summary.noise = NoiseSource::kBorrowed;
  return summary;
}

Interval mean_interval(const PairedSummary& summary, double level) {
  NVLLM_CHECK(level > 0 && level < 1);
  const double reach =
      summary.standard_error == 0
          ? 0
          : -student_t_quantile((1 - level) / 2, summary.df) * summary.standard_error;
  return {.low = summary.mean - reach, .high = summary.mean + reach};
}

double tost_p(const PairedSummary& summary, double log_margin) {
  NVLLM_CHECK_LT(0.0, log_margin);
  return std::max(upper_tail(summary, -log_margin), lower_tail(summary, log_margin));
}

double difference_p(const PairedSummary& summary) {
  return std::min(1.0, 2 * std::min(upper_tail(summary, 0), lower_tail(summary, 0)));
}

double positive_p(const PairedSummary& summary) { return upper_tail(summary, 0); }

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kEquivalent:
      return "EQUIVALENT";
    case Outcome::kEquivalentShifted:
      return "EQUIVALENT_SHIFTED";
    case Outcome::kSlower:
      return "SLOWER";
    case Outcome::kFaster:
      return "FASTER";
    case Outcome::kShifted:
      return "SHIFTED";
    case Outcome::kInconclusive:
      return "INCONCLUSIVE";
  }
  return "?";
}

Outcome judge(Interval interval, double log_margin) {
  const bool excludes_zero = interval.low > 0 || interval.high < 0;
  if (interval.low > log_margin) return Outcome::kSlower;
  if (interval.high < -log_margin) return Outcome::kFaster;
  if (interval.low > -log_margin && interval.high < log_margin) {
    return excludes_zero ? Outcome::kEquivalentShifted : Outcome::kEquivalent;
  }
  return excludes_zero ? Outcome::kShifted : Outcome::kInconclusive;
}

Equivalence test_equivalence(const PairedSummary& summary, double margin, double alpha) {
  NVLLM_CHECK_LT(0.0, margin);
  NVLLM_CHECK(alpha > 0 && alpha < 0.5);
  const double log_margin = std::log1p(margin);
  const Interval interval = mean_interval(summary, 1 - 2 * alpha);
  return {.summary = summary,
          .interval = interval,
          .p_tost = tost_p(summary, log_margin),
          .p_difference = difference_p(summary),
          .outcome = judge(interval, log_margin)};
}

}  // namespace nvllm::bench
