#include "bench/rules/say.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hashing.h"
#include "bench/rules/rule_test_support.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;

Outcomes measured_outcomes(const Fact& beta, const Fact& decode) {
  TableFacts facts;
  facts.table["mean_us(lower8,Beta*)"] = beta;
  facts.table["mean_us(lower8,Decode*)"] = decode;
  Outcomes out;
  out.hypotheses["H1"] = evaluate_hypothesis(
      "H1", parse_rule("mean_us(lower8,'Beta*') - mean_us(lower8,'Decode*') > 0"), facts);
  return out;
}

TEST(Say, FillsTheSentenceFromTheData) {
  const Outcomes out =
      measured_outcomes(measured(41311.311, "us", 30), measured(17128.171, "us", 40));
  EXPECT_EQ(fill_template("Each added fused layer costs {H1.est} ({H1.ci}); fusion pays only if "
                          "the fused kernel gets "
                          "{flip(H1)} cheaper. {H1.state}, {need(H1)} more.",
                          out),
            "Each added fused layer costs 24183 us (90 % interval 24101 to 24265 us); fusion pays "
            "only if the fused "
            "kernel gets 58.5 % cheaper. CONFIRMED, 0 more.");
}

TEST(Say, AFlipThatIsARiseShowsItsSign) {
  const Outcomes out = measured_outcomes(measured(10, "ms", 0.1), measured(20, "ms", 0.1));
  EXPECT_EQ(fill_template("gets {flip(H1)} cheaper, {H1.state}", out),
            "gets +100.0 % cheaper, REFUTED");
}

TEST(Say, NeverGivesAnotherFactsFlip) {
  TableFacts facts;
  facts.table["a()"] = measured(10, "ms", 0.1);
  facts.table["b()"] = measured(9, "ms", 0.1);
  Outcomes out;
  out.hypotheses["H1"] = evaluate_hypothesis("H1", parse_rule("a() * a() > b() * 10 ms"), facts);
  ASSERT_EQ(out.hypotheses["H1"].comparisons[0].flips.size(), 1u);  // b is linear, a is not
  EXPECT_EQ(fill_template("{flip(H1)}", out), "an unknown share");
}

TEST(Say, AdmitsWhatIsNotKnown) {
  const Outcomes open = measured_outcomes(bare(10, "ms"), unknown_fact(unit("ms"), "not profiled"));
  EXPECT_EQ(fill_template("{H1.est}, {H1.ci}, {flip(H1)}, {need(H1)} rounds, {H1.state}", open),
            "an unknown amount, no interval: the noise is unknown, an unknown share, an unknown "
            "number of rounds, "
            "INCONCLUSIVE");
  EXPECT_EQ(fill_template("{H1.ci}", measured_outcomes(bare(10, "ms"), bare(9, "ms"))),
            "no interval: the noise is unknown");
}

TEST(Say, DoubledBracesAreBraces) { EXPECT_EQ(fill_template("{{a}} }}", {}), "{a} }"); }

TEST(Say, ErrorsNameThePosition) {
  const Outcomes out = measured_outcomes(bare(10, "ms"), bare(9, "ms"));
  const auto error_of = [&](const char* text) {
    return usage_error([&] { fill_template(text, out); });
  };
  EXPECT_THAT(error_of("costs {H1.mean}"),
              HasSubstr("column 7: unknown placeholder, wanted {NAME.est}"));
  EXPECT_THAT(error_of("{H9.est}"), HasSubstr("names no hypothesis"));
  EXPECT_THAT(error_of("{est(H1)}"), HasSubstr("unknown placeholder"));
  EXPECT_THAT(error_of("{H1}"), HasSubstr("unknown placeholder"));
  EXPECT_THAT(error_of("{}"), HasSubstr("unknown placeholder"));
  EXPECT_THAT(error_of("open {H1.est"), HasSubstr("column 6: a lone brace"));
  EXPECT_THAT(error_of("shut }"), HasSubstr("a lone brace"));
}

TEST(Say, AnyBytesAreFilledOrRefused) {
  const Outcomes out = measured_outcomes(bare(10, "ms"), bare(9, "ms"));
  constexpr std::string_view kBytes = "{}().H1estcifliped \xff";
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    std::string text;
    const std::uint64_t length = random_bits(seed, 0) % 12;
    for (std::uint64_t i = 1; i <= length; ++i)
      text += kBytes[random_bits(seed, i) % kBytes.size()];
    try {
      static_cast<void>(fill_template(text, out));
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kUsage) << text;
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace nvllm::bench
