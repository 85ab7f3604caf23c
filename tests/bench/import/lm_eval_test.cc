#include "bench/import/lm_eval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;

std::string line(int document, const char* filter, const char* answer, double score) {
  return fmt::format(
             R"({{"doc_id":{},"doc":{{"question":"q{}","answer":"work\n#### 1,200"}},"target":"work\n#### 1,200",)"
             R"("arguments":{{}},"resps":[["text #### {}"]],"filtered_resps":["{}"],"filter":"{}",)"
             R"("metrics":["exact_match"],"doc_hash":"d{}","prompt_hash":"p","target_hash":"t","exact_match":{}}})",
             document, document, answer, answer, filter, document, score) +
         "\n";
}

class LmEval : public testing::Test {
 protected:
  std::vector<QuestionResult> read(const std::string& lines, const LmEvalOptions& options = {}) {
    return import_lm_eval_samples(folder_.put("samples.jsonl", lines), options);
  }
  std::string refusal(const std::string& lines) {
    try {
      read(lines);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }
  test::TempFolder folder_;
};

TEST_F(LmEval, JoinsTheFiltersOfAQuestion) {
  const auto questions = read(line(1, "strict-match", "[invalid]", 0) + line(0, "strict-match", "1200", 1) +
                              line(1, "flexible-extract", "7", 0) + line(0, "flexible-extract", "1200", 1));
  ASSERT_EQ(questions.size(), 2u);
  EXPECT_EQ(questions[0].qid, "0");
  EXPECT_EQ(questions[0].status, QuestionStatus::kOk);
  EXPECT_EQ(questions[0].gold, "1200");
  EXPECT_EQ(questions[0].question, "q0");
  EXPECT_EQ(questions[0].question_sha256, "d0");
  EXPECT_FALSE(questions[0].disagree);
  EXPECT_EQ(questions[1].status, QuestionStatus::kNoAnswer);
  EXPECT_EQ(questions[1].answers.strict, "");
  EXPECT_EQ(questions[1].answers.flexible, "7");
  EXPECT_TRUE(questions[1].disagree);
}

TEST_F(LmEval, ScoresByTheFilterThatIsAskedFor) {
  const auto questions = read(line(0, "strict-match", "[invalid]", 0) + line(0, "flexible-extract", "1200", 1),
                              {.leg = "a", .filter = "flexible-extract"});
  EXPECT_TRUE(questions[0].correct);
  EXPECT_EQ(questions[0].leg, "a");
}

TEST_F(LmEval, RefusesWithLineAndField) {
  EXPECT_THAT(refusal(line(0, "strict-match", "1", 1) + line(0, "strict-match", "1", 1)),
              HasSubstr("samples.jsonl:2: this question and filter 'strict-match' appear twice"));
  EXPECT_THAT(refusal(line(3, "none", "1", 1)),
              HasSubstr("question 3 has no line of filter 'strict-match'; it has: none"));
  EXPECT_THAT(refusal("{}\n"), HasSubstr("samples.jsonl:1: field 'doc_id' is absent"));
  EXPECT_THAT(refusal("\n{\"doc_id\":1,\"filtered_resps\":[]}\n"),
              HasSubstr("samples.jsonl:2: field 'filtered_resps' holds no text"));
}

TEST_F(LmEval, ReadsScoresWithTheirStandardErrors) {
  const auto path = folder_.put(
      "results.json",
      R"({"results":{"gsm8k":{"alias":"gsm8k","exact_match,strict-match":0.75,"exact_match_stderr,strict-match":0.0119,)"
      R"("exact_match,flexible-extract":0.8}},"config":{"model":"local-completions"}})");
  const auto scores = import_lm_eval_results(path);
  ASSERT_EQ(scores.size(), 2u);
  EXPECT_EQ(scores[0].task, "gsm8k");
  EXPECT_EQ(scores[0].metric, "exact_match");
  EXPECT_EQ(scores[0].filter, "strict-match");
  EXPECT_DOUBLE_EQ(scores[0].value, 0.75);
  EXPECT_DOUBLE_EQ(scores[0].standard_error.value(), 0.0119);
  EXPECT_FALSE(scores[1].standard_error.has_value());
  EXPECT_THROW(import_lm_eval_results(folder_.put("x.json", "{}")), Error);
}

}  // namespace
}  // namespace nvllm::bench
