#pragma once

// A hypothesis is a comparison of measured quantities (or several joined by && || !). Its truth is
// decided by the uncertainty, not by the estimate: true and false each need a one-sided test at
// alpha, everything between is unknown.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/rules/expression.h"
#include "bench/rules/facts.h"
#include "bench/stats/interval.h"

namespace nvllm::bench {

/// By how much one fact alone would have to change for a comparison to flip.
struct Flip {
  std::string fact;           ///< mean_us(all-beta,Beta*)
  double change_percent = 0;  ///< negative: it would have to fall
  Quantity now;
  Quantity at_flip;
};

/// What one comparison says. `estimate` is left side minus right side.
struct ComparisonResult {
  std::string text;
  std::vector<std::string> facts;  ///< the calls in it, in the order written
  Truth truth = Truth::kUnknown;
  Grade grade = Grade::kConfirmed;
  std::optional<Quantity> estimate;
  std::optional<double> standard_error;  ///< in the unit of the estimate
  std::optional<Interval> interval;      ///< in the unit of the estimate
  double interval_level = 0;  ///< 1 - 2 alpha; 1 - alpha for == and !=, which look both ways
  /// One-sided toward the side claimed (small: the claim holds); two-sided of a difference for ==
  /// and !=.
  std::optional<double> p;
  double df = kInfiniteDf;
  std::int64_t rounds = 0;  ///< paired rounds behind it; 0 where not compared by rounds
  std::vector<Flip> flips;  ///< one per fact it is linear in, in the order written
  /// More rounds that would settle it with 80 % power; 0 where settled.
  std::optional<std::int64_t> need;
  std::string unknown_because;  ///< why the truth is unknown
};

/// A measured input of a hypothesis, for the record.
struct Input {
  std::string call;
  Fact fact;
};

struct HypothesisResult {
  std::string name;
  std::string text;
  double alpha = 0.05;
  Truth truth = Truth::kUnknown;
  Grade grade = Grade::kConfirmed;
  std::vector<ComparisonResult> comparisons;  ///< in the order written; at least one
  std::vector<Input> inputs;                  ///< distinct calls, in the order written
};

/// Evaluates a hypothesis.
///   Errors: Error(kUsage) with the position for unlike units, unknown functions and expressions
///           that are no comparison. Missing measurements are not errors: they make the truth
///           unknown.
HypothesisResult evaluate_hypothesis(const std::string& name, const Rule& rule, const Facts& facts,
                                     double alpha = 0.05);

/// "CONFIRMED", "REFUTED", "INCONCLUSIVE"; with " (PROVISIONAL)" where the grade is.
std::string state_text(Truth truth, Grade grade);

}  // namespace nvllm::bench
