#include "bench/rules/hypothesis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/hashing.h"
#include "bench/rules/rule_test_support.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;

constexpr const char* kClaim = "mean_us(lower8,'Beta*') - mean_us(lower8,'Decode*') > 0";

/// The fused kernel and the call it replaces, of the public folder of 2026-05-15.
TableFacts dated_facts(const Fact& beta, const Fact& decode) {
  TableFacts facts;
  facts.table["mean_us(lower8,Beta*)"] = beta;
  facts.table["mean_us(lower8,Decode*)"] = decode;
  return facts;
}

HypothesisResult evaluate(const char* text, const Facts& facts) {
  return evaluate_hypothesis("H1", parse_rule(text), facts);
}

TEST(Hypothesis, IsTrueWhereTheIntervalIsOnItsSide) {
  const TableFacts facts =
      dated_facts(measured(41311.311, "us", 30), measured(17128.171, "us", 40));
  const HypothesisResult result = evaluate(kClaim, facts);
  EXPECT_EQ(result.truth, Truth::kTrue);
  EXPECT_EQ(result.grade, Grade::kConfirmed);
  ASSERT_EQ(result.comparisons.size(), 1u);
  const ComparisonResult& comparison = result.comparisons[0];
  EXPECT_NEAR(comparison.estimate->value, 24183.14, 1e-9);
  EXPECT_NEAR(*comparison.standard_error, 50, 1e-9);  // independent errors: 3, 4, 5
  EXPECT_NEAR(comparison.interval->low, 24183.14 - 50 * 1.6448536269514722, 1e-6);
  EXPECT_EQ(comparison.need, 0);
  EXPECT_EQ(result.inputs.size(), 2u);
}

TEST(Hypothesis, FlipDistanceIsThePublishedOne) {
  const TableFacts facts =
      dated_facts(measured(41311.311, "us", 30), measured(17128.171, "us", 40));
  const HypothesisResult result = evaluate(kClaim, facts);
  const std::vector<Flip>& flips = result.comparisons[0].flips;
  ASSERT_EQ(flips.size(), 2u);
  EXPECT_EQ(flips[0].fact, "mean_us(lower8,Beta*)");
  EXPECT_NEAR(flips[0].change_percent, -58.5, 0.05);
  EXPECT_NEAR(flips[0].at_flip.value, 17128.171, 1e-6);
  EXPECT_NEAR(flips[1].change_percent, 100 * (41311.311 / 17128.171 - 1), 1e-6);
}

TEST(Hypothesis, IsFalseOnTheOtherSideAndUnknownBetween) {
  EXPECT_EQ(evaluate(kClaim, dated_facts(measured(10, "ms", 0.1), measured(11, "ms", 0.1))).truth,
            Truth::kFalse);
  const HypothesisResult open =
      evaluate(kClaim, dated_facts(measured(10, "ms", 5), measured(9, "ms", 5)));
  EXPECT_EQ(open.truth, Truth::kUnknown);
  EXPECT_EQ(open.comparisons[0].unknown_because, "the interval contains zero");
}

TEST(Hypothesis, EveryOperatorKnowsItsSide) {
  const TableFacts above = dated_facts(measured(10, "ms", 0.1), measured(9, "ms", 0.1));
  const auto truth = [&](const std::string& operation) {
    return evaluate(("mean_us(lower8,'Beta*') " + operation + " mean_us(lower8,'Decode*')").c_str(),
                    above)
        .truth;
  };
  EXPECT_EQ(truth(">"), Truth::kTrue);
  EXPECT_EQ(truth(">="), Truth::kTrue);
  EXPECT_EQ(truth("<"), Truth::kFalse);
  EXPECT_EQ(truth("<="), Truth::kFalse);
  EXPECT_EQ(truth("=="), Truth::kFalse);
  EXPECT_EQ(truth("!="), Truth::kTrue);
}

TEST(Hypothesis, ItsPPointsToTheSideClaimed) {
  // One standard error above: 0.1587 for ">", the rest for "<", twice it for a difference.
  const TableFacts facts = dated_facts(measured(10, "ms", 1), measured(9, "ms", 0));
  const auto p = [&](const std::string& operation) {
    const std::string text = "mean_us(lower8,'Beta*') " + operation + " mean_us(lower8,'Decode*')";
    return *evaluate(text.c_str(), facts).comparisons[0].p;
  };
  EXPECT_NEAR(p(">"), 0.158655253931457, 1e-12);
  EXPECT_NEAR(p("<="), 1 - 0.158655253931457, 1e-12);
  EXPECT_NEAR(p("!="), 2 * 0.158655253931457, 1e-12);
}

TEST(Hypothesis, NoDifferenceSeenIsNotEquality) {
  const TableFacts facts = dated_facts(measured(10, "ms", 5), measured(10, "ms", 5));
  EXPECT_EQ(evaluate("mean_us(lower8,'Beta*') == mean_us(lower8,'Decode*')", facts).truth,
            Truth::kUnknown);
}

TEST(Hypothesis, ExactCountsAreComparedExactly) {
  const TableFacts facts = dated_facts(measured(14, "", 0), measured(14, "", 0));
  EXPECT_EQ(evaluate("mean_us(lower8,'Beta*') == mean_us(lower8,'Decode*')", facts).truth,
            Truth::kTrue);
  EXPECT_EQ(evaluate("mean_us(lower8,'Beta*') >= 14", facts).truth, Truth::kTrue);
  EXPECT_EQ(evaluate("mean_us(lower8,'Beta*') > 14", facts).truth, Truth::kFalse);
}

TEST(Hypothesis, WithoutAnyNoiseItIsProvisional) {
  const HypothesisResult result =
      evaluate(kClaim, dated_facts(bare(41311.311, "us"), bare(17128.171, "us")));
  EXPECT_EQ(result.truth, Truth::kTrue);
  EXPECT_EQ(result.grade, Grade::kProvisional);
  EXPECT_FALSE(result.comparisons[0].interval.has_value());
  EXPECT_EQ(state_text(result.truth, result.grade), "CONFIRMED (PROVISIONAL)");
}

TEST(Hypothesis, CarriesTheWeakestGrade) {
  Fact borrowed = measured(9, "ms", 0.1);
  borrowed.grade = Grade::kProvisional;
  EXPECT_EQ(evaluate(kClaim, dated_facts(measured(10, "ms", 0.1), borrowed)).grade,
            Grade::kProvisional);
}

TEST(Hypothesis, ComparesRoundByRound) {
  // Both wander by far more than they differ; the difference inside each round hardly moves.
  const TableFacts facts =
      dated_facts(fact_from_rounds({10.11, 20.10, 30.09, 40.10}, unit("ms"), Grade::kConfirmed),
                  fact_from_rounds({10, 20, 30, 40}, unit("ms"), Grade::kConfirmed));
  const HypothesisResult result = evaluate(kClaim, facts);
  EXPECT_EQ(result.truth, Truth::kTrue);
  EXPECT_EQ(result.comparisons[0].rounds, 4);
  EXPECT_EQ(result.comparisons[0].df, 3);
  EXPECT_NEAR(*result.comparisons[0].standard_error, std::sqrt(0.0002 / 3) / 2, 1e-12);
}

TEST(Hypothesis, WithUnequalRoundsFallsBackToIndependentErrors) {
  const TableFacts facts =
      dated_facts(fact_from_rounds({10.11, 20.10, 30.09}, unit("ms"), Grade::kConfirmed),
                  fact_from_rounds({10, 20, 30, 40}, unit("ms"), Grade::kConfirmed));
  const HypothesisResult result = evaluate(kClaim, facts);
  EXPECT_EQ(result.truth, Truth::kUnknown);
  EXPECT_EQ(result.comparisons[0].rounds, 0);
  EXPECT_FALSE(result.comparisons[0].need.has_value());
  EXPECT_GT(result.comparisons[0].df, 3);  // Welch: between the smaller df and the sum
  EXPECT_LT(result.comparisons[0].df, 5);
}

TEST(Hypothesis, SaysHowManyRoundsWouldSettleIt) {
  // Differences 1 and 3 ms: mean 2, sd 1.414, effect 1.414; one-sided 5 % with 80 % power takes 5
  // pairs.
  const TableFacts facts = dated_facts(fact_from_rounds({11, 13}, unit("ms"), Grade::kConfirmed),
                                       fact_from_rounds({10, 10}, unit("ms"), Grade::kConfirmed));
  const HypothesisResult result = evaluate(kClaim, facts);
  EXPECT_EQ(result.truth, Truth::kUnknown);
  EXPECT_EQ(result.comparisons[0].need, 3);
}

TEST(Hypothesis, AMissingMeasurementMakesItUnknownAndSaysWhy) {
  const TableFacts facts =
      dated_facts(measured(10, "ms", 1), unknown_fact(unit("us"), "no such kernel in this leg"));
  const HypothesisResult result = evaluate(kClaim, facts);
  EXPECT_EQ(result.truth, Truth::kUnknown);
  EXPECT_EQ(result.comparisons[0].unknown_because,
            "mean_us(lower8,Decode*): no such kernel in this leg");
  EXPECT_FALSE(result.comparisons[0].estimate.has_value());
}

TEST(Hypothesis, DivisionByZeroIsUnknownNotTrue) {
  const TableFacts facts = dated_facts(measured(10, "ms", 1), measured(0, "ms", 0));
  const HypothesisResult result =
      evaluate("mean_us(lower8,'Beta*') / mean_us(lower8,'Decode*') > 1", facts);
  EXPECT_EQ(result.truth, Truth::kUnknown);
  EXPECT_THAT(result.comparisons[0].unknown_because, HasSubstr("divides by zero"));
}

TEST(Hypothesis, JoinsComparisonsByKleene) {
  const TableFacts facts = dated_facts(measured(10, "ms", 0.1), measured(9, "ms", 0.1));
  const std::string beta = "mean_us(lower8,'Beta*')";
  EXPECT_EQ(evaluate((beta + " > 9 ms && " + beta + " < 11 ms").c_str(), facts).truth,
            Truth::kTrue);
  EXPECT_EQ(evaluate((beta + " > 10 ms && " + beta + " > 20 ms").c_str(), facts).truth,
            Truth::kFalse);
  EXPECT_EQ(evaluate((beta + " > 10 ms && true").c_str(), facts).truth, Truth::kUnknown);
  EXPECT_EQ(evaluate(("!" + beta + " > 20 ms").c_str(), facts).truth, Truth::kTrue);
  EXPECT_EQ(evaluate((beta + " > 9 ms && " + beta + " < 11 ms").c_str(), facts).comparisons.size(),
            2u);
}

TEST(Hypothesis, ErrorsNameThePositionEvenWhereNothingWasMeasured) {
  const TableFacts facts =
      dated_facts(measured(10, "ms", 1), unknown_fact(unit("tokens"), "not counted"));
  const auto error_of = [&](const char* text) {
    return usage_error([&] { evaluate(text, facts); });
  };
  EXPECT_THAT(error_of(kClaim), HasSubstr("column 25: '-' between ms and tokens"));
  EXPECT_THAT(error_of("mean_us(lower8,'Beta*') > 3"),
              HasSubstr("'>' between ms and a plain number"));
  EXPECT_THAT(error_of("mean_us(all-beta,x) > 0"),
              HasSubstr("column 1: no such function or other arguments"));
  EXPECT_THAT(error_of("mean_us(lower8,'Beta*')"), HasSubstr("wanted a comparison"));
  EXPECT_THAT(error_of("true"), HasSubstr("compares nothing"));
}

TEST(Hypothesis, FlipIsNotOfferedWhereItIsNotLinear) {
  const TableFacts facts = dated_facts(measured(10, "ms", 0.1), measured(9, "ms", 0.1));
  const HypothesisResult result =
      evaluate("mean_us(lower8,'Beta*') / mean_us(lower8,'Decode*') > 1", facts);
  ASSERT_EQ(result.comparisons[0].flips.size(), 1u);
  EXPECT_EQ(result.comparisons[0].flips[0].fact, "mean_us(lower8,Beta*)");
  EXPECT_NEAR(result.comparisons[0].flips[0].change_percent, -10, 1e-9);
}

TEST(Hypothesis, AnyExpressionEvaluatesOrIsRefused) {
  constexpr const char* kPieces[] = {"mean_us(lower8,'Beta*')",
                                     "mean_us(lower8,'Decode*')",
                                     "0",
                                     "2 ms",
                                     "1e300",
                                     "5%",
                                     "true",
                                     "unknown",
                                     "x"};
  constexpr const char* kJoints[] = {" + ",  " - ",  " * ",  " / ",  " > ",
                                     " <= ", " == ", " && ", " || ", " - ( 1 / "};
  const TableFacts facts = dated_facts(measured(10, "ms", 1), measured(9, "ms", 0));
  int evaluated = 0;
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    std::string text = seed % 3 == 0 ? "!" : "";
    std::string closing;
    const std::uint64_t length = 1 + random_bits(seed, 0) % 5;
    for (std::uint64_t i = 0; i < length; ++i) {
      const std::string joint =
          i > 0 ? kJoints[random_bits(seed, 2 * i + 1) % std::size(kJoints)] : "";
      if (joint.find('(') != std::string::npos) closing += ")";
      text += joint + kPieces[random_bits(seed, 2 * i + 2) % std::size(kPieces)];
    }
    try {
      const HypothesisResult result = evaluate((text + closing).c_str(), facts);
      for (const ComparisonResult& comparison : result.comparisons) {
        if (comparison.interval) {
          ASSERT_TRUE(comparison.interval->low <= comparison.interval->high) << text + closing;
        }
      }
      ++evaluated;
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kUsage) << text + closing;
    }
  }
  EXPECT_GT(evaluated, 500);
}

}  // namespace
}  // namespace nvllm::bench
