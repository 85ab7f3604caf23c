#include "bench/store/perq.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "base/error.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;

QuestionResult full() {
  QuestionResult result;
  result.label = "three legs";
  result.prompt_index = 7;
  result.wall_time_s = 69.2121;
  result.prompt_tokens = 75;
  result.completion_tokens = 143;
  result.finish_reason = "stop";
  result.gold = "2280";
  result.pred = "2,180";
  result.output_sha256 = "00ba";
  result.qid = "1309";
  result.leg = "lower8";
  result.round = 2;
  result.boot_id = "b2";
  result.attempt = 3;
  result.status = QuestionStatus::kTimeout;
  result.censored = true;
  result.deadline_s = 180;
  result.ttft_ms = 12.5;
  result.answers = {"1", "2", "3", "4"};
  result.disagree = true;
  return result;
}

TEST(Perq, ALineReadsBackToTheSameBytes) {
  const std::string line = perq_line(full());
  const std::vector<QuestionResult> read = parse_perq(line, "test");
  ASSERT_EQ(read.size(), 1u);
  EXPECT_EQ(perq_line(read[0]), line);
  EXPECT_EQ(read[0].status, QuestionStatus::kTimeout);
  EXPECT_EQ(read[0].answers.flexible, "3");
  EXPECT_EQ(read[0].ttft_ms, 12.5);
  EXPECT_FALSE(read[0].sm_mhz.has_value());
  EXPECT_THAT(line, HasSubstr("\"total_tokens\":218"));
}

constexpr const char* kReference =
    R"({"label":"x","run_index":0,"prompt_index":2,"wall_time_s":1.5,"prompt_tokens":69,"completion_tokens":216,)"
    R"("total_tokens":285,"decode_tok_s":2.059,"finish_reason":"stop","gold":"1","pred":"1","correct":true,)"
    R"("output_len":686,"output_sha256":"5140","request_id":"cmpl-a","ts":1778917844.0374203})";

TEST(Perq, ReadsTheReferencesLines) {
  const QuestionResult read = parse_perq(kReference, "test").at(0);
  EXPECT_EQ(read.status, QuestionStatus::kOk);
  EXPECT_EQ(read.completion_tokens, 216);
  EXPECT_DOUBLE_EQ(read.ts, 1778917844.0374203);
}

std::string refusal(const std::string& text) {
  try {
    parse_perq(text, "perq.jsonl");
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Perq, RefusesARepeatedKeyButKeepsAnotherAttempt) {
  QuestionResult again = full();
  const std::string one = perq_line(again);
  EXPECT_THAT(refusal(one + one), HasSubstr("perq.jsonl:2: question 7, attempt 3 of this boot appears twice"));
  ++again.attempt;
  EXPECT_EQ(refusal(one + perq_line(again)), "accepted");
  again = full();
  again.boot_id = "b3";
  EXPECT_EQ(refusal(format_perq(std::array{full(), again})), "accepted");
}

TEST(Perq, RefusesWithLineAndField) {
  std::string bad = perq_line(full());
  bad.replace(bad.find("\"timeout\""), 9, "\"tired\"");
  EXPECT_THAT(refusal(bad), HasSubstr("perq.jsonl:1: field 'status' is 'tired'"));
  EXPECT_THAT(refusal("{\"label\":\"x\"}"), HasSubstr("field 'run_index' is absent"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("perq.jsonl:1: array"));
}

}  // namespace
}  // namespace nvllm::bench
