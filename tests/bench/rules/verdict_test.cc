#include "bench/rules/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/rules/rule_test_support.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;

HypothesisResult hypothesis(Truth truth, Grade grade = Grade::kConfirmed) {
  HypothesisResult result;
  result.text = "a - b > 0";
  result.truth = truth;
  result.grade = grade;
  result.comparisons.emplace_back();
  result.comparisons.back().truth = truth;
  return result;
}

Outcomes outcomes(Truth h1, Truth order, Grade grade = Grade::kConfirmed) {
  Outcomes out;
  out.hypotheses["H1"] = hypothesis(h1);
  out.hypotheses["H2"] = hypothesis(Truth::kTrue, grade);
  out.gates["order"] = {.truth = order, .grade = Grade::kConfirmed, .unknown_because = {}};
  return out;
}

std::vector<VerdictRule> sweep_rules() {
  return {
      {.id = "phase4-stays-dead",
       .when = parse_rule("H1 == CONFIRMED && H2 == CONFIRMED && gate(order)"),
       .say = "H1 is {H1.state}."},
      {.id = "phase4-reopens", .when = parse_rule("H1 == REFUTED"), .say = ""},
      {.id = "inconclusive", .when = parse_rule("true"), .say = "Needs {need(H1)} more rounds."}};
}

TEST(Verdict, TakesTheFirstRuleThatIsTrue) {
  EXPECT_EQ(decide(sweep_rules(), outcomes(Truth::kTrue, Truth::kTrue))->id, "phase4-stays-dead");
  EXPECT_EQ(decide(sweep_rules(), outcomes(Truth::kFalse, Truth::kTrue))->id, "phase4-reopens");
  EXPECT_EQ(decide(sweep_rules(), outcomes(Truth::kUnknown, Truth::kTrue))->id, "inconclusive");
}

TEST(Verdict, AnUnknownGateDoesNotCountAsPassedOrFailed) {
  EXPECT_EQ(decide(sweep_rules(), outcomes(Truth::kTrue, Truth::kUnknown))->id, "inconclusive");
  EXPECT_EQ(evaluate_when(parse_rule("!gate(order)"), outcomes(Truth::kTrue, Truth::kUnknown)),
            Truth::kUnknown);
}

TEST(Verdict, CarriesTheWeakestGradeOfWhatItNames) {
  EXPECT_EQ(decide(sweep_rules(), outcomes(Truth::kTrue, Truth::kTrue))->grade, Grade::kConfirmed);
  EXPECT_EQ(decide(sweep_rules(), outcomes(Truth::kTrue, Truth::kTrue, Grade::kProvisional))->grade,
            Grade::kProvisional);
  EXPECT_EQ(
      decide(sweep_rules(), outcomes(Truth::kFalse, Truth::kTrue, Grade::kProvisional))->grade,
      Grade::kConfirmed);  // H2 is not named there
  EXPECT_FALSE(decide(sweep_rules(), outcomes(Truth::kUnknown, Truth::kTrue))->grade.has_value());
}

TEST(Verdict, AProvisionalTruthIsStillATruth) {
  const Outcomes out = outcomes(Truth::kTrue, Truth::kTrue, Grade::kProvisional);
  EXPECT_EQ(evaluate_when(parse_rule("H2 == CONFIRMED"), out), Truth::kTrue);
  EXPECT_EQ(evaluate_when(parse_rule("H2 == PROVISIONAL"), out), Truth::kTrue);
  EXPECT_EQ(evaluate_when(parse_rule("H1 == PROVISIONAL"), out), Truth::kFalse);
  EXPECT_EQ(evaluate_when(parse_rule("H2"), out), Truth::kTrue);
}

TEST(When, ComparedWithAWordIsNeverUnknown) {
  const Outcomes open = outcomes(Truth::kUnknown, Truth::kTrue);
  EXPECT_EQ(evaluate_when(parse_rule("H1 == INCONCLUSIVE"), open), Truth::kTrue);
  EXPECT_EQ(evaluate_when(parse_rule("H1 == unknown"), open), Truth::kTrue);
  EXPECT_EQ(evaluate_when(parse_rule("H1 == CONFIRMED"), open), Truth::kFalse);
  EXPECT_EQ(evaluate_when(parse_rule("REFUTED != H1"), open), Truth::kTrue);
  EXPECT_EQ(evaluate_when(parse_rule("gate(order) == true"), open), Truth::kTrue);
  EXPECT_EQ(evaluate_when(parse_rule("H1"), open), Truth::kUnknown);
  EXPECT_EQ(evaluate_when(parse_rule("H1 || gate(order)"), open), Truth::kTrue);
}

TEST(When, ErrorsNameThePosition) {
  const Outcomes out = outcomes(Truth::kTrue, Truth::kTrue);
  const auto error_of = [&](const char* text) {
    return usage_error([&] { evaluate_when(parse_rule(text), out); });
  };
  EXPECT_THAT(error_of("H1 == CONFIRMED && H9 == CONFIRMED"),
              HasSubstr("column 20: no hypothesis is called 'H9', wanted one of: H1, H2"));
  EXPECT_THAT(error_of("gate(speed)"),
              HasSubstr("no gate is called 'speed', wanted one of: order"));
  EXPECT_THAT(error_of("H1 == CONFIRMD"),
              HasSubstr("column 4: wanted a hypothesis or gate(name) on one side"));
  EXPECT_THAT(error_of("H1 > 0"), HasSubstr("wanted == or !="));
  EXPECT_THAT(error_of("1 + 2"), HasSubstr("saw (1 + 2), wanted the name of a hypothesis"));
  EXPECT_THAT(error_of("-H1"), HasSubstr("wanted the name of a hypothesis"));
  EXPECT_THAT(error_of("true || H9"), HasSubstr("'H9'"));  // nothing is skipped
}

TEST(Verdict, ChecksTheRulesAfterTheOneTaken) {
  std::vector<VerdictRule> rules = sweep_rules();
  rules.push_back({.id = "late", .when = parse_rule("H7"), .say = ""});
  EXPECT_THAT(
      usage_error([&] { static_cast<void>(decide(rules, outcomes(Truth::kTrue, Truth::kTrue))); }),
      HasSubstr("'H7'"));
}

TEST(Verdict, RulesAreCheckedBeforeAnythingIsMeasured) {
  EXPECT_NO_THROW(check_verdict_rules(sweep_rules(), {"H1", "H2"}, {"order"}));
  EXPECT_THAT(usage_error([] { check_verdict_rules(sweep_rules(), {"H1"}, {"order"}); }),
              HasSubstr("'H2'"));
  EXPECT_THAT(usage_error([] {
                check_verdict_rules(sweep_rules(), {"H1", "H2"}, {});
              }),
              HasSubstr("none is declared"));
}

TEST(TruthTable, ShowsEveryPartItsGradeAndWhatWouldFlipOrSettleIt) {
  Outcomes out = outcomes(Truth::kTrue, Truth::kTrue, Grade::kProvisional);
  out.hypotheses["H1"].comparisons[0].flips.push_back(
      {.fact = "mean_us(lower8,Beta*)",
       .change_percent = -58.54,
       .now = {.value = 41311.311, .unit = unit("us")},
       .at_flip = {.value = 17128.171, .unit = unit("us")}});
  out.hypotheses["H3"] = hypothesis(Truth::kUnknown);
  out.hypotheses["H3"].comparisons[0].unknown_because = "the interval contains zero";
  out.hypotheses["H3"].comparisons[0].need = 3;
  const std::string table = truth_table(*decide(sweep_rules(), out));
  EXPECT_THAT(table, HasSubstr("flips if mean_us(lower8,Beta*) falls by 58.5 % to 17128 us"));
  EXPECT_THAT(table, HasSubstr("the interval contains zero; 3 more rounds would settle it"));
  EXPECT_THAT(table, HasSubstr("  (H1 == CONFIRMED)"));
  EXPECT_THAT(table, HasSubstr("PROVISIONAL  <- the verdict\n"));
  EXPECT_EQ(table.find(" \n"), std::string::npos);  // no trailing blanks
}

TEST(Verdict, IsNothingWhereNoRuleIsTrue) {
  EXPECT_FALSE(decide({{.id = "x", .when = parse_rule("H1 == REFUTED"), .say = ""}},
                      outcomes(Truth::kTrue, Truth::kTrue))
                   .has_value());
}

}  // namespace
}  // namespace nvllm::bench
