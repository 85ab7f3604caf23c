#include "bench/leg_table.h"

#include <gtest/gtest.h>

namespace nvllm::bench {
namespace {

/// A right answer of two tokens for each digest.
LegResult leg(const std::string& name, const std::vector<std::string>& digests) {
  LegResult out{.leg = name, .results = {}, .seconds = 0.5};
  for (const std::string& digest : digests) {
    QuestionResult one;
    one.completion_tokens = 2;
    one.token_ids_sha256 = digest;
    one.status = QuestionStatus::kOk;
    one.correct = true;
    out.results.push_back(one);
  }
  return out;
}

TEST(SameTokens, NeedsEveryTokenOfEveryAnswerAndSomeTokens) {
  EXPECT_TRUE(same_tokens(leg("a", {"1", "3"}), leg("b", {"1", "3"})));
  EXPECT_FALSE(same_tokens(leg("a", {"1", "3"}), leg("b", {"1", "4"})));
  EXPECT_FALSE(same_tokens(leg("a", {"1"}), leg("b", {"1", "3"})));
  EXPECT_FALSE(same_tokens(leg("a", {""}), leg("b", {""})));  // unreported is not identical
}

TEST(SameTokens, OfAnswersThatWereCutOffSayNothing) {
  LegResult cut = leg("a", {"1"});
  cut.results[0].status = QuestionStatus::kTimeout;
  EXPECT_FALSE(same_tokens(cut, cut));
  EXPECT_EQ(cut.failed(), 1);
}

TEST(LegTable, ShowsRightTotalRateAndIdentity) {
  const std::string text = leg_table({leg("spelled-out", {"1"}), leg("lower8", {"2"})});
  EXPECT_NE(text.find("tokens identical to spelled-out"), std::string::npos);
  EXPECT_NE(text.find("1/1"), std::string::npos);
  EXPECT_NE(text.find("           4"), std::string::npos);  // two tokens in half a second
  EXPECT_NE(text.find("no\n"), std::string::npos);
}

}  // namespace
}  // namespace nvllm::bench
