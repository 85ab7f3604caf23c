#include "bench/accuracy/question_set.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "bench/accuracy/prompt.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

namespace fs = std::filesystem;

std::string four_lines() {
  std::string text;
  for (const char* name : {"a", "b", "c", "d"}) {
    text += std::string(R"({"question":")") + name + R"(","answer":"#### 1"})" + "\n\n";
  }
  return text;
}

TEST(QuestionChoice, FirstTakesTheFilesOrderAndZeroMeansAll) {
  EXPECT_EQ(choose_questions(5, {.n = 3}), (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(choose_questions(3, {}).size(), 3u);
  EXPECT_THROW(choose_questions(3, {.n = 4}), Error);
  EXPECT_THROW(choose_questions(3, {.n = -1}), Error);
}

TEST(QuestionChoice, PythonGivesTheSequenceOfThePublishedRun) {
  const auto indices = choose_questions(1319, {.order = QuestionOrder::kPython, .seed = 42, .n = 50});
  ASSERT_EQ(indices.size(), 50u);
  const std::vector<std::int64_t> first(indices.begin(), indices.begin() + 6);
  EXPECT_EQ(first, (std::vector<std::int64_t>{1309, 228, 51, 563, 501, 457}));
}

TEST(QuestionFile, KeepsItsDigestIndicesAndOrder) {
  const testing::TempFolder folder;
  std::ofstream(folder / "set.jsonl") << four_lines();
  const QuestionSet set = read_question_set(folder / "set.jsonl", {.order = QuestionOrder::kPython, .seed = 1, .n = 2});
  EXPECT_EQ(set.file_name, "set.jsonl");
  EXPECT_EQ(set.sha256.size(), 64u);
  EXPECT_EQ(set.n_total, 4);
  ASSERT_EQ(set.size(), 2);
  EXPECT_EQ(set.questions[0].question, std::string(1, static_cast<char>('a' + set.questions[0].index)));
  const QuestionSet other = read_question_set(folder / "set.jsonl", {.n = 2});
  EXPECT_EQ(set.sha256, other.sha256);
  EXPECT_NE(indices_sha256(set), indices_sha256(other));
}

TEST(QuestionFile, KeepsTheFirstAndAtMostAllItHas) {
  const testing::TempFolder folder;
  std::ofstream(folder / "set.jsonl") << four_lines();
  QuestionSet set = read_question_set(folder / "set.jsonl", {});
  keep_first(set, 9);
  keep_first(set, 0);
  EXPECT_EQ(set.size(), 4);
  keep_first(set, 2);
  EXPECT_EQ(set.size(), 2);
  EXPECT_EQ(set.questions[1].question, "b");
  EXPECT_EQ(set.n_total, 4);
}

TEST(QuestionFile, RefusesABadLineByNumberAndField) {
  const testing::TempFolder folder;
  std::ofstream(folder / "bad.jsonl") << R"({"question":"q","answer":"1"})"
                                      << "\n"
                                      << R"({"question":3,"answer":""})";
  try {
    read_question_set(folder / "bad.jsonl", {});
    FAIL();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find(":2"), std::string::npos) << message;
    EXPECT_NE(message.find("question"), std::string::npos) << message;
  }
  std::ofstream(folder / "empty.jsonl") << "\n";
  EXPECT_THROW(read_question_set(folder / "empty.jsonl", {}), Error);
  EXPECT_THROW(read_question_set(folder / "absent.jsonl", {}), Error);
}

TEST(QuestionFile, TheWholeTestSplitIsTheOneThePublishedRunUsed) {
  const char* set = std::getenv("NVLLM_SHARED");
  const fs::path shared = set != nullptr ? fs::path(set) : fs::path(NVLLM_SOURCE_DIR) / "../shared";
  const fs::path file = shared / "data/gsm8k/test.jsonl";
  if (!fs::exists(file)) GTEST_SKIP() << file << " is absent; NVLLM_SHARED names the folder of shared data";
  const QuestionSet questions = read_question_set(file, {.order = QuestionOrder::kPython, .seed = 42, .n = 50});
  EXPECT_EQ(questions.n_total, 1319);
  EXPECT_EQ(questions.sha256, "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14");
  EXPECT_TRUE(questions.questions[0].question.starts_with("The girls are trying to raise money for a carnival."));
}

TEST(Prompts, AreThoseOfTheirTemplates) {
  EXPECT_EQ(prompt_of(PromptTemplate::kReference, "1+1?"), "Q: 1+1?\nA: Let me solve this step by step.\n");
  EXPECT_EQ(prompt_of(PromptTemplate::kDemo, "1+1?"), "Question: 1+1?\nAnswer: ");
  EXPECT_EQ(prompt_fields(PromptTemplate::kChat, "1+1?").at("messages").at(0).at("content"), "1+1?");
  EXPECT_EQ(prompt_fields(PromptTemplate::kReference, "x").at("stop").size(), 2u);
  EXPECT_FALSE(prompt_fields(PromptTemplate::kDemo, "x").contains("stop"));
  EXPECT_NE(template_sha256(PromptTemplate::kDemo), template_sha256(PromptTemplate::kChat));
  EXPECT_EQ(parse_prompt_template("completion"), PromptTemplate::kDemo);
  EXPECT_EQ(parse_prompt_template("reference"), PromptTemplate::kReference);
  EXPECT_EQ(parse_prompt_template("other"), std::nullopt);
}

}  // namespace
}  // namespace nvllm::bench
