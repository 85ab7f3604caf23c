#pragma once

// The verdict: the first rule whose `when` is true. `when` tests truths; the verdict carries the
// weakest grade of what its `when` names.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/rules/hypothesis.h"

namespace nvllm::bench {

struct GateResult {
  Truth truth = Truth::kUnknown;  ///< passed, failed or not established
  Grade grade = Grade::kConfirmed;
  std::string unknown_because;
};

/// What `when` may speak of, by name.
struct Outcomes {
  std::map<std::string, HypothesisResult> hypotheses;
  std::map<std::string, GateResult> gates;
};

struct VerdictRule {
  std::string id;
  Rule when;
  std::string say;  ///< template, may be empty
};

/// One line of the truth table.
struct TruthRow {
  std::string text;  ///< the part of a `when`, or the rule's id
  Truth truth = Truth::kUnknown;
  std::optional<Grade> grade;
  std::string note;  ///< why unknown, or what would flip it
};

struct Verdict {
  std::string id;
  std::string text;            ///< `say` filled in
  std::optional<Grade> grade;  ///< absent where the rule names no hypothesis and no gate
  std::vector<TruthRow> rows;
};

/// The truth of a `when`: hypotheses compared with CONFIRMED, REFUTED, INCONCLUSIVE, PROVISIONAL,
/// or bare (true, false or unknown), gate(name), true, false. A comparison with a word is never
/// unknown: INCONCLUSIVE is a word too.
///   Errors: Error(kUsage) with the position for names that do not exist and for arithmetic.
Truth evaluate_when(const Rule& when, const Outcomes& outcomes);

/// Takes the first rule that is true; nothing where none is.
///   Errors: as evaluate_when and fill_template; every rule is checked, also those after the first
///           true one.
std::optional<Verdict> decide(const std::vector<VerdictRule>& rules, const Outcomes& outcomes);

/// Checks names and templates before anything is measured: hypotheses and gates by name only.
///   Errors: Error(kUsage) with the position.
void check_verdict_rules(const std::vector<VerdictRule>& rules,
                         const std::vector<std::string>& hypotheses,
                         const std::vector<std::string>& gates);

/// The truth table for people, one row a line.
std::string truth_table(const Verdict& verdict);

}  // namespace nvllm::bench
