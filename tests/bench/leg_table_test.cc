#include "bench/leg_table.h"

#include <gtest/gtest.h>

namespace nvllm::bench {
namespace {

EvalResult result(std::vector<std::vector<std::int32_t>> ids) {
  EvalResult out;
  for (auto& tokens : ids) {
    EvalAnswer answer;
    answer.completion_tokens = static_cast<std::int64_t>(tokens.size());
    answer.token_ids = std::move(tokens);
    answer.right = true;
    out.answers.push_back(answer);
  }
  out.seconds = 0.5;
  return out;
}

TEST(SameTokens, NeedsEveryTokenOfEveryAnswerAndSomeTokens) {
  EXPECT_TRUE(same_tokens(result({{1, 2}, {3}}), result({{1, 2}, {3}})));
  EXPECT_FALSE(same_tokens(result({{1, 2}, {3}}), result({{1, 2}, {4}})));
  EXPECT_FALSE(same_tokens(result({{1, 2}}), result({{1, 2}, {3}})));
  EXPECT_FALSE(same_tokens(result({{}}), result({{}})));  // unreported is not identical
}

TEST(LegTable, ShowsRightTotalRateAndIdentity) {
  const std::string text = leg_table({{"spelled-out", result({{1, 2}})}, {"lower8", result({{1, 3}})}});
  EXPECT_NE(text.find("tokens identical to spelled-out"), std::string::npos);
  EXPECT_NE(text.find("1/1"), std::string::npos);
  EXPECT_NE(text.find("           4"), std::string::npos);  // two tokens in half a second
  EXPECT_NE(text.find("no\n"), std::string::npos);
}

}  // namespace
}  // namespace nvllm::bench
