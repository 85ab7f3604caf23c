// A comparison is turned into a difference, left minus right, and the question is on which side of
// zero it lies. Its noise comes, in this order, from the rounds (the difference is formed inside
// each round), from the standard errors of the facts taken as independent, or from nowhere.

#include "bench/rules/hypothesis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "bench/rules/arithmetic.h"
#include "bench/stats/equivalence.h"
#include "bench/stats/power.h"

namespace nvllm::bench {

namespace {

constexpr double kWantedPower = 0.8;
constexpr std::int64_t kRoundsMax = 10'000;  // beyond this, "more rounds" is no advice

/// The facts of a hypothesis, looked up once, in the order written.
class Inputs {
 public:
  Inputs(const Rule& rule, const Facts& facts) : rule_(rule), facts_(facts) { collect(rule.root); }

  const Fact& at(const Token& call) const { return at(call_text(call)); }
  const Fact& at(const std::string& call) const {
    const auto found =
        std::find_if(list_.begin(), list_.end(), [&](const Input& i) { return i.call == call; });
    NVLLM_CHECK(found != list_.end());
    return found->fact;
  }
  const std::vector<Input>& list() const { return list_; }

  /// Those that appear in one part of the rule.
  std::vector<Input> within(const Expression& part) const {
    std::vector<Input> out;
    for (const Input& input : list_) {
      if (degree_in(part, input.call) > 0) out.push_back(input);
    }
    return out;
  }

 private:
  void collect(const Expression& expression) {
    for (const Expression& child : expression.children) collect(child);
    if (expression.kind != ExpressionKind::kCall) return;
    const std::string call = call_text(expression.token);
    if (std::any_of(list_.begin(), list_.end(), [&](const Input& i) { return i.call == call; }))
      return;
    std::optional<Fact> fact = facts_.find(expression.token.text, expression.token.arguments);
    if (!fact) {
      throw_rule_error(rule_.text, expression.token.position,
                       fmt::format("no such function or other arguments: {}, wanted one of {}",
                                   call, facts_.vocabulary()));
    }
    list_.push_back({.call = call, .fact = std::move(*fact)});
  }

  const Rule& rule_;
  const Facts& facts_;
  std::vector<Input> list_;
};

/// A comparison on its way to a result.
class Comparison {
 public:
  Comparison(const Rule& rule, const Expression& expression, const Inputs& inputs)
      : rule_(rule), expression_(expression), inputs_(inputs), facts_(inputs.within(expression)) {}

  ComparisonResult evaluate(double alpha) const;

 private:
  /// left - right in base units, with calls valued by `values`.
  Number difference(const CallValues& values) const {
    return subtract(rule_, expression_.token,
                    evaluate_number(rule_, expression_.children[0], values),
                    evaluate_number(rule_, expression_.children[1], values));
  }

  Number difference_now() const {
    return difference([&](const Token& call) { return inputs_.at(call).estimate; });
  }

  /// With one fact at another value, in its own unit.
  double difference_with(const std::string& fact, double value) const {
    return difference([&](const Token& call) {
             Quantity quantity = inputs_.at(call).estimate;
             if (call_text(call) == fact) quantity.value = value;
             return quantity;
           })
        .base;
  }

  std::string why_unknown(double now) const;
  bool noise_is_known() const;
  std::int64_t common_rounds() const;
  PairedSummary summary_by_rounds(double now, std::int64_t rounds) const;
  PairedSummary summary_by_errors(double now) const;
  std::optional<Flip> flip(const Input& input, double now) const;

  const Rule& rule_;
  const Expression& expression_;
  const Inputs& inputs_;
  std::vector<Input> facts_;
};

std::string Comparison::why_unknown(double now) const {
  for (const Input& input : facts_) {
    if (!input.fact.unknown_because.empty()) return input.call + ": " + input.fact.unknown_because;
  }
  return std::isfinite(now) ? "" : "the comparison divides by zero or overflows";
}

bool exact(const Fact& fact) { return fact.standard_error == 0.0 && fact.rounds.empty(); }

bool Comparison::noise_is_known() const {
  return std::all_of(facts_.begin(), facts_.end(),
                     [](const Input& i) { return i.fact.standard_error.has_value(); });
}

/// How many rounds all facts have that are not exact; 0 where they differ or where there are none.
std::int64_t Comparison::common_rounds() const {
  std::size_t rounds = 0;
  for (const Input& input : facts_) {
    if (exact(input.fact)) continue;
    if (input.fact.rounds.size() < 2 || (rounds != 0 && rounds != input.fact.rounds.size()))
      return 0;
    rounds = input.fact.rounds.size();
  }
  return static_cast<std::int64_t>(rounds);
}

PairedSummary Comparison::summary_by_rounds(double now, std::int64_t rounds) const {
  std::vector<double> differences;
  for (std::int64_t round = 0; round < rounds; ++round) {
    differences.push_back(difference([&](const Token& call) {
                            const Fact& fact = inputs_.at(call);
                            Quantity quantity = fact.estimate;
                            if (!fact.rounds.empty())
                              quantity.value = fact.rounds[static_cast<std::size_t>(round)];
                            return quantity;
                          }).base);
  }
  PairedSummary summary = summarise(differences);
  summary.mean = now;  // of the estimates that the report shows; equal for linear comparisons
  return summary;
}

/// Independent errors, each carried through by moving its fact one standard error up and down
/// (exact where the comparison is linear in it); degrees of freedom by Welch and Satterthwaite.
PairedSummary Comparison::summary_by_errors(double now) const {
  double variance = 0;
  double variance_squares = 0;
  for (const Input& input : facts_) {
    const double error = *input.fact.standard_error;
    const double value = input.fact.estimate.value;
    const double part =
        (difference_with(input.call, value + error) - difference_with(input.call, value - error)) /
        2;
    variance += part * part;
    variance_squares += part * part * part * part / input.fact.df;
  }
  PairedSummary summary;
  summary.mean = now;
  summary.standard_error = std::sqrt(variance);
  summary.df = variance_squares > 0 ? variance * variance / variance_squares : kInfiniteDf;
  return summary;
}

/// The value of one fact at which the difference is zero, where the difference is linear in it.
std::optional<Flip> Comparison::flip(const Input& input, double now) const {
  const double value = input.fact.estimate.value;
  if (value == 0 || degree_in(expression_, input.call) != 1) return std::nullopt;
  const double without = difference_with(input.call, 0);
  const double slope = (now - without) / value;
  if (slope == 0 || !std::isfinite(slope)) return std::nullopt;
  const double at_flip = -without / slope;
  const double change_percent = 100 * (at_flip / value - 1);
  // Nothing measured here can fall by all of itself: then this fact alone cannot flip the
  // comparison.
  if (!std::isfinite(change_percent) || change_percent <= -100) return std::nullopt;
  return Flip{.fact = input.call,
              .change_percent = change_percent,
              .now = input.fact.estimate,
              .at_flip = {.value = at_flip, .unit = input.fact.estimate.unit}};
}

/// On which side of zero an interval lies, for "left - right OP 0".
Truth side(const std::string& operation, Interval interval) {
  const bool above = interval.low > 0;
  const bool below = interval.high < 0;
  const bool rising = operation[0] == '>';
  if (operation == "==" || operation == "!=") {
    if (!above && !below) return Truth::kUnknown;
    return truth_of(operation == "!=");
  }
  if (above) return truth_of(rising);
  if (below) return truth_of(!rising);
  return Truth::kUnknown;
}

/// Without noise the numbers themselves decide.
Truth compare_exactly(const std::string& operation, double difference) {
  if (operation == ">") return truth_of(difference > 0);
  if (operation == ">=") return truth_of(difference >= 0);
  if (operation == "<") return truth_of(difference < 0);
  if (operation == "<=") return truth_of(difference <= 0);
  return truth_of((difference == 0) == (operation == "=="));
}

/// "==" and "!=" look both ways, so each side gets half of alpha.
double deciding_level(const std::string& operation, double alpha) {
  return operation == "==" || operation == "!=" ? 1 - alpha : 1 - 2 * alpha;
}

/// Small where the data speak for the claim; for "==" and "!=" small where they speak for a
/// difference.
double claim_p(const std::string& operation, PairedSummary summary) {
  if (operation == "==" || operation == "!=") return difference_p(summary);
  if (operation[0] == '<') summary.mean = -summary.mean;
  return positive_p(summary);
}

/// More rounds until a true difference as large as the estimate would be found; nothing where none
/// suffice.
std::optional<std::int64_t> rounds_needed(const PairedSummary& summary, double alpha) {
  if (summary.rounds == 0 || summary.sd == 0 || summary.mean == 0) return std::nullopt;
  const auto total =
      rounds_for_one_sided(std::abs(summary.mean) / summary.sd, alpha, kWantedPower, kRoundsMax);
  if (!total) return std::nullopt;
  return std::max<std::int64_t>(1, *total - summary.rounds);
}

ComparisonResult Comparison::evaluate(double alpha) const {
  ComparisonResult result;
  result.text = to_text(expression_);
  for (const Input& input : facts_) {
    result.facts.push_back(input.call);
    result.grade = weakest(result.grade, input.fact.grade);
  }
  const Number now = difference_now();  // also checks the units where facts are unknown
  result.unknown_because = why_unknown(now.base);
  if (!result.unknown_because.empty()) return result;
  result.estimate = in_unit(now.base, now.unit);
  for (const Input& input : facts_) {
    if (const auto found = flip(input, now.base)) result.flips.push_back(*found);
  }
  const std::string& operation = expression_.token.text;
  if (!noise_is_known()) {
    result.grade = Grade::kProvisional;
    result.truth = compare_exactly(operation, now.base);
    return result;
  }
  result.rounds = common_rounds();
  const PairedSummary summary =
      result.rounds > 0 ? summary_by_rounds(now.base, result.rounds) : summary_by_errors(now.base);
  if (!std::isfinite(summary.standard_error)) {
    result.unknown_because = "the noise of the comparison is not finite";
    return result;
  }
  result.interval_level = deciding_level(operation, alpha);
  const Interval base = mean_interval(summary, result.interval_level);
  const double scale = now.unit.scale;
  result.standard_error = summary.standard_error / scale;
  result.p = claim_p(operation, summary);
  result.df = summary.df;
  result.interval = Interval{.low = base.low / scale, .high = base.high / scale};
  result.truth =
      summary.standard_error == 0 ? compare_exactly(operation, now.base) : side(operation, base);
  result.need = result.truth == Truth::kUnknown ? rounds_needed(summary, alpha) : 0;
  if (result.truth == Truth::kUnknown) result.unknown_because = "the interval contains zero";
  return result;
}

/// Walks the truths of a rule, leaving its comparisons in `result`.
class HypothesisWalk {
 public:
  HypothesisWalk(const Rule& rule, const Inputs& inputs, HypothesisResult& result)
      : rule_(rule), inputs_(inputs), result_(result) {}

  Truth walk(const Expression& expression) {
    if (!is_truth(expression)) {
      throw_rule_error(
          rule_.text, expression.token.position,
          fmt::format("saw {}, wanted a comparison such as a - b > 0", to_text(expression)));
    }
    if (is_comparison(expression)) return compare(expression);
    const std::string& text = expression.token.text;
    if (expression.kind == ExpressionKind::kUnary) return truth_not(walk(expression.children[0]));
    if (expression.kind == ExpressionKind::kWord) {
      return text == "unknown" ? Truth::kUnknown : truth_of(text == "true");
    }
    const Truth left = walk(expression.children[0]);
    const Truth right = walk(expression.children[1]);
    return text == "&&" ? truth_and(left, right) : truth_or(left, right);
  }

 private:
  Truth compare(const Expression& expression) {
    result_.comparisons.push_back(Comparison(rule_, expression, inputs_).evaluate(result_.alpha));
    return result_.comparisons.back().truth;
  }

  const Rule& rule_;
  const Inputs& inputs_;
  HypothesisResult& result_;
};

}  // namespace

HypothesisResult evaluate_hypothesis(const std::string& name, const Rule& rule, const Facts& facts,
                                     double alpha) {
  NVLLM_CHECK(alpha > 0 && alpha < 0.5);
  HypothesisResult result;
  result.name = name;
  result.text = rule.text;
  result.alpha = alpha;
  const Inputs inputs(rule, facts);
  result.truth = HypothesisWalk(rule, inputs, result).walk(rule.root);
  if (result.comparisons.empty()) {
    throw_rule_error(rule.text, 0,
                     fmt::format("hypothesis {} compares nothing, wanted a comparison", name));
  }
  for (const ComparisonResult& comparison : result.comparisons) {
    result.grade = weakest(result.grade, comparison.grade);
  }
  result.inputs = inputs.list();
  return result;
}

std::string state_text(Truth truth, Grade grade) {
  if (truth == Truth::kUnknown) return "INCONCLUSIVE";
  const std::string state = truth == Truth::kTrue ? "CONFIRMED" : "REFUTED";
  return grade == Grade::kProvisional ? state + " (PROVISIONAL)" : state;
}

}  // namespace nvllm::bench
