#include "bench/rules/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "bench/rules/arithmetic.h"
#include "bench/rules/say.h"

namespace nvllm::bench {

namespace {

/// A hypothesis or a gate, as `when` sees it.
struct Named {
  Truth truth = Truth::kUnknown;
  Grade grade = Grade::kConfirmed;
};

template <class Map>
std::string names_of(const Map& map) {
  std::string names;
  for (const auto& [name, value] : map) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "none is declared" : names;
}

bool is_state_word(const Expression& expression) {
  static constexpr std::string_view kWords[] = {
      "CONFIRMED", "REFUTED", "INCONCLUSIVE", "PROVISIONAL", "true", "false", "unknown"};
  return expression.kind == ExpressionKind::kWord &&
         std::find(std::begin(kWords), std::end(kWords), expression.token.text) != std::end(kWords);
}

bool in_state(const Named& named, const std::string& word) {
  if (word == "CONFIRMED" || word == "true") return named.truth == Truth::kTrue;
  if (word == "REFUTED" || word == "false") return named.truth == Truth::kFalse;
  if (word == "PROVISIONAL")
    return named.truth != Truth::kUnknown && named.grade == Grade::kProvisional;
  return named.truth == Truth::kUnknown;
}

/// Evaluates one `when`, noting its parts and the weakest grade among what it names.
class WhenWalk {
 public:
  WhenWalk(const Rule& rule, const Outcomes& outcomes) : rule_(rule), outcomes_(outcomes) {}

  Truth walk(const Expression& expression) {
    const std::string& text = expression.token.text;
    if (is_comparison(expression)) return noted(expression, compare(expression));
    if (expression.kind == ExpressionKind::kUnary && text == "!")
      return truth_not(walk(expression.children[0]));
    if (expression.kind == ExpressionKind::kBinary && (text == "&&" || text == "||")) {
      const Truth left = walk(expression.children[0]);
      const Truth right = walk(expression.children[1]);
      return text == "&&" ? truth_and(left, right) : truth_or(left, right);
    }
    if (is_truth(expression)) return text == "unknown" ? Truth::kUnknown : truth_of(text == "true");
    return noted(expression, find(expression).truth);
  }

  const std::optional<Grade>& grade() const { return grade_; }
  const std::vector<TruthRow>& parts() const { return parts_; }

 private:
  [[noreturn]] void fail(const Expression& at, const std::string& problem) const {
    throw_rule_error(rule_.text, at.token.position, problem);
  }

  Truth noted(const Expression& expression, Truth truth) {
    parts_.push_back({.text = to_text(expression), .truth = truth, .grade = {}, .note = {}});
    return truth;
  }

  Truth compare(const Expression& expression) {
    const std::string& operation = expression.token.text;
    const Expression& left = expression.children[0];
    const Expression& right = expression.children[1];
    if (operation != "==" && operation != "!=") {
      fail(expression,
           fmt::format("saw '{}', wanted == or !=: `when` compares names with states, not numbers",
                       operation));
    }
    if (is_state_word(left) == is_state_word(right)) {
      fail(expression,
           "wanted a hypothesis or gate(name) on one side and CONFIRMED, REFUTED, INCONCLUSIVE, "
           "PROVISIONAL, true, false or unknown on the other");
    }
    const Named named = find(is_state_word(left) ? right : left);
    const bool equal = in_state(named, (is_state_word(left) ? left : right).token.text);
    return truth_of(equal == (operation == "=="));
  }

  Named find(const Expression& expression) {
    const Token& token = expression.token;
    if (expression.kind == ExpressionKind::kWord) {
      const auto found = outcomes_.hypotheses.find(token.text);
      if (found == outcomes_.hypotheses.end()) {
        fail(expression, fmt::format("no hypothesis is called '{}', wanted one of: {}", token.text,
                                     names_of(outcomes_.hypotheses)));
      }
      return used({.truth = found->second.truth, .grade = found->second.grade});
    }
    if (expression.kind == ExpressionKind::kCall && token.text == "gate" &&
        token.arguments.size() == 1) {
      const auto found = outcomes_.gates.find(token.arguments[0]);
      if (found == outcomes_.gates.end()) {
        fail(expression, fmt::format("no gate is called '{}', wanted one of: {}",
                                     token.arguments[0], names_of(outcomes_.gates)));
      }
      return used({.truth = found->second.truth, .grade = found->second.grade});
    }
    fail(expression,
         fmt::format("saw {}, wanted the name of a hypothesis or gate(name)", to_text(expression)));
  }

  Named used(Named named) {
    grade_ = grade_ ? weakest(*grade_, named.grade) : named.grade;
    return named;
  }

  const Rule& rule_;
  const Outcomes& outcomes_;
  std::optional<Grade> grade_;
  std::vector<TruthRow> parts_;
};

/// What would flip a settled hypothesis, or settle an open one.
std::string note_of(const HypothesisResult& hypothesis) {
  std::string note;
  const auto add = [&](const std::string& text) { note += (note.empty() ? "" : "; ") + text; };
  for (const ComparisonResult& comparison : hypothesis.comparisons) {
    if (comparison.truth == Truth::kUnknown) add(comparison.unknown_because);
    if (comparison.need && *comparison.need > 0)
      add(fmt::format("{} more rounds would settle it", *comparison.need));
    if (comparison.truth == Truth::kUnknown) continue;
    for (const Flip& flip : comparison.flips) {
      add(fmt::format("flips if {} {} by {:.1f} % to {}", flip.fact,
                      flip.change_percent < 0 ? "falls" : "rises", std::abs(flip.change_percent),
                      format_quantity(flip.at_flip)));
    }
  }
  return note;
}

std::vector<TruthRow> rows_of(const Outcomes& outcomes) {
  std::vector<TruthRow> rows;
  for (const auto& [name, hypothesis] : outcomes.hypotheses) {
    rows.push_back({.text = name + ": " + hypothesis.text,
                    .truth = hypothesis.truth,
                    .grade = hypothesis.grade,
                    .note = note_of(hypothesis)});
  }
  for (const auto& [name, gate] : outcomes.gates) {
    rows.push_back({.text = "gate(" + name + ")",
                    .truth = gate.truth,
                    .grade = gate.grade,
                    .note = gate.unknown_because});
  }
  return rows;
}

}  // namespace

Truth evaluate_when(const Rule& when, const Outcomes& outcomes) {
  return WhenWalk(when, outcomes).walk(when.root);
}

std::optional<Verdict> decide(const std::vector<VerdictRule>& rules, const Outcomes& outcomes) {
  std::optional<Verdict> verdict;
  std::vector<TruthRow> rows = rows_of(outcomes);
  for (const VerdictRule& rule : rules) {
    WhenWalk walk(rule.when, outcomes);
    const Truth truth = walk.walk(rule.when.root);
    const std::string text = fill_template(rule.say, outcomes);
    const bool taken = truth == Truth::kTrue && !verdict;
    for (TruthRow part : walk.parts()) {
      part.text = "  " + part.text;
      rows.push_back(std::move(part));
    }
    rows.push_back({.text = rule.id + " when " + rule.when.text,
                    .truth = truth,
                    .grade = walk.grade(),
                    .note = taken ? "<- the verdict" : ""});
    if (taken) verdict = Verdict{.id = rule.id, .text = text, .grade = walk.grade(), .rows = {}};
  }
  if (verdict) verdict->rows = std::move(rows);
  return verdict;
}

void check_verdict_rules(const std::vector<VerdictRule>& rules,
                         const std::vector<std::string>& hypotheses,
                         const std::vector<std::string>& gates) {
  Outcomes nothing_measured;
  for (const std::string& name : hypotheses) {
    HypothesisResult hypothesis;
    hypothesis.name = name;
    hypothesis.comparisons.emplace_back();
    nothing_measured.hypotheses[name] = std::move(hypothesis);
  }
  for (const std::string& name : gates) nothing_measured.gates[name] = {};
  static_cast<void>(decide(rules, nothing_measured));
}

std::string truth_table(const Verdict& verdict) {
  std::size_t width = 0;
  for (const TruthRow& row : verdict.rows) width = std::max(width, row.text.size());
  std::string table;
  for (const TruthRow& row : verdict.rows) {
    std::string line =
        fmt::format("{:<{}}  {:<7}  {:<11}  {}", row.text, width, to_string(row.truth),
                    row.grade ? to_string(*row.grade) : "", row.note);
    line.erase(line.find_last_not_of(' ') + 1);
    table += line + "\n";
  }
  return table;
}

}  // namespace nvllm::bench
