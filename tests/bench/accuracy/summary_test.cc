#include "bench/accuracy/summary.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "bench/accuracy/eval_folder.h"
#include "bench/import/legacy_3leg.h"
#include "bench/store/canonical_json.h"
#include "bench/store/perq.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

QuestionSet numbered(std::int64_t count) {
  QuestionSet set{.file_name = "numbered.jsonl", .sha256 = "00", .n_total = count, .choice = {}, .questions = {}};
  for (std::int64_t i = 1; i <= count; ++i) {
    set.questions.push_back({.index = i - 1,
                             .question = std::string(90, 'q') + std::to_string(i),
                             .solution = "#### " + std::to_string(i)});
  }
  return set;
}

AskOptions options() {
  AskOptions out;
  out.target.url = "http://127.0.0.1:1";
  out.label = "l";
  out.leg = "leg";
  out.model = "m";
  out.boot_id = "b";
  return out;
}

Generation said(const std::string& text) {
  Generation answer;
  answer.end = GenerationEnd::kComplete;
  answer.text = text;
  answer.finish_reason = "stop";
  answer.completion_tokens = 10;
  answer.wall_s = 2;
  return answer;
}

/// Right, wrong, no number, timeout and HTTP error, in this order.
std::vector<QuestionResult> five(const QuestionSet& set) {
  Generation late;
  late.end = GenerationEnd::kDeadline;
  late.text = "half an ans";
  late.wall_s = 180;
  Generation failed;
  failed.end = GenerationEnd::kHttpError;
  failed.error = "HTTP 500: boom";
  std::vector<QuestionResult> results;
  for (const Generation& answer : {said("#### 1"), said("x is 3 #### 9"), said("I give up"), late, failed}) {
    const auto at = static_cast<std::int64_t>(results.size()) + 1;
    results.push_back(judge_answer(set.questions[static_cast<std::size_t>(at - 1)], at, answer, options()));
  }
  return results;
}

TEST(EvalSummary, KeepsRightWrongAndUnknownApart) {
  const QuestionSet set = numbered(7);
  const EvalSummary sum = summarize(five(set), set.size());
  EXPECT_EQ(sum.asked, 5);
  EXPECT_EQ(sum.correct, 1);
  EXPECT_EQ(sum.wrong, 1);
  EXPECT_EQ(sum.no_answer, 1);
  EXPECT_EQ(sum.censored, 1);
  EXPECT_EQ(sum.errors, 2);
  EXPECT_EQ(sum.answered(), 3);
  EXPECT_EQ(sum.right_max, 5);  // 7 less the two that are known not to be right
  EXPECT_DOUBLE_EQ(*sum.tokens_mean, 10);
}

TEST(EvalSummary, CountsTheLatestAttemptOnly) {
  const QuestionSet set = numbered(1);
  std::vector<QuestionResult> results = {judge_answer(set.questions[0], 1, said("#### 2"), options()),
                                         judge_answer(set.questions[0], 1, said("#### 1"), options())};
  results[1].attempt = 2;
  EXPECT_EQ(summarize(results, 1).correct, 1);
  EXPECT_EQ(summarize(results, 1).wrong, 0);
  EXPECT_EQ(gsm8k_json(set, options(), results, {}).at("results").size(), 1u);
}

TEST(EvalSummary, RaisesAnAlarmWhereReadingsDiffer) {
  const QuestionSet set = numbered(2);
  std::vector<QuestionResult> results = {judge_answer(set.questions[0], 1, said("#### 1"), options()),
                                         judge_answer(set.questions[1], 2, said("#### 2\nQuestion 5"), options())};
  EXPECT_TRUE(results[1].disagree);
  const Json json = gsm8k_json(set, options(), results, {});
  EXPECT_EQ(json.at("disagreement").at("alarm"), true);
  EXPECT_EQ(json.at("disagreement").at("share"), 0.5);
  EXPECT_EQ(json.at("by_extractor").at("strict").at("correct"), 2);
  EXPECT_EQ(json.at("by_extractor").at("flexible").at("correct"), 1);
  results.pop_back();
  EXPECT_EQ(gsm8k_json(set, options(), results, {}).at("disagreement").at("alarm"), false);
}

TEST(EvalJson, HasThePublishedShape) {
  const QuestionSet set = numbered(7);
  EvalFacts facts{.total_s = 12.34};
  facts.floor = 1;
  facts.ship = 2;
  const Json json = gsm8k_json(set, options(), five(set), facts);
  EXPECT_EQ(json.at("accuracy"), "1/7 (14.3%)");
  EXPECT_EQ(json.at("errors"), 2);
  EXPECT_EQ(json.at("total_seconds"), 12.3);
  EXPECT_EQ(json.at("gate_floor"), "PASS");
  EXPECT_EQ(json.at("gate_ship"), "FAIL");
  EXPECT_EQ(json.at("bounds").at("right_max"), 5);
  const Json& first = json.at("results").at(0);
  EXPECT_EQ(first.at("status"), "OK");
  EXPECT_EQ(first.at("i"), 0);
  EXPECT_EQ(first.at("question").get<std::string>().size(), 83u);  // 80 characters and "..."
  EXPECT_EQ(json.at("results").at(2).at("status"), "WRONG");
  EXPECT_EQ(json.at("results").at(3).at("status"), "ERROR");
  EXPECT_EQ(json.at("results").at(3).at("ended"), "timeout");
  EXPECT_EQ(json.at("gate_floor"), "PASS");
  EXPECT_EQ(gsm8k_json(set, options(), five(set), {}).at("gate_ship"), nullptr);
}

TEST(EvalJson, IsReadByTheImporterOfThePublishedFolders) {
  const testing::TempFolder temp;
  const QuestionSet set = numbered(5);
  EvalFolder folder(temp / "base" / "leg", EvalResume::kRefuse);
  const auto results = five(set);
  for (const QuestionResult& one : results) folder.add(one);
  folder.finish(set, options(), results, {.timestamp_iso = "2026-01-01T00:00:00Z"});
  const EvidenceFolder read = import_legacy_3leg(temp / "base");
  ASSERT_EQ(read.legs.size(), 1u);
  EXPECT_TRUE(read.notes.empty()) << read.notes.front();
  ASSERT_EQ(read.legs[0].questions.size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(read.legs[0].questions[i].status, results[i].status) << i;
  EXPECT_EQ(read.legs[0].questions[3].deadline_s, 180);
}

TEST(EvalMetadata, NamesDataSetChoiceAndPrompt) {
  const QuestionSet set = numbered(3);
  EvalFacts facts{.timestamp_iso = "t"};
  facts.metadata["git_commit"] = "abc";
  const Json json = gsm8k_metadata(set, options(), facts);
  EXPECT_EQ(json.at("git_commit"), "abc");
  EXPECT_EQ(json.at("dataset").at("sha256"), "00");
  EXPECT_EQ(json.at("dataset").at("indices_sha256"), indices_sha256(set));
  EXPECT_EQ(json.at("prompt_template_sha256"), template_sha256(PromptTemplate::kReference));
  EXPECT_EQ(json.at("deadline_s"), 180);
}

TEST(EvalFolderTest, GoesOnBehindATornLineWithTexts) {
  const testing::TempFolder temp;
  const QuestionSet set = numbered(5);
  const auto results = five(set);
  {
    EvalFolder folder(temp / "run", EvalResume::kRefuse);
    folder.add(results[0]);
    folder.add(results[1]);
  }
  std::ofstream(temp / "run" / "perq.jsonl", std::ios::app) << perq_line(results[2]).substr(0, 40);
  EXPECT_THROW(EvalFolder(temp / "run", EvalResume::kRefuse), Error);
  EvalFolder folder(temp / "run", EvalResume::kContinue);
  ASSERT_EQ(folder.kept().size(), 2u);
  EXPECT_EQ(folder.kept()[1].output_tail, "x is 3 #### 9");
  EXPECT_EQ(folder.kept()[1].question, set.questions[1].question);
  folder.add(results[2]);
  EXPECT_EQ(EvalFolder(temp / "run", EvalResume::kContinue).kept().size(), 3u);
}

TEST(EvalFolderTest, WritesNothingBelowAManifest) {
  const testing::TempFolder temp;
  EXPECT_FALSE(lies_in_closed_folder(temp / "evidence"));
  std::filesystem::create_directories(temp / "evidence");
  std::ofstream(temp / "evidence" / "MANIFEST.sha256") << "";
  EXPECT_TRUE(lies_in_closed_folder(temp / "evidence" / "leg" / "new"));
  EXPECT_THROW(EvalFolder(temp / "evidence" / "leg", EvalResume::kRefuse), Error);
  EXPECT_FALSE(std::filesystem::exists(temp / "evidence" / "leg"));
}

TEST(ScoreAnswer, CanBeDoneAgainByAnotherReading) {
  const QuestionSet set = numbered(3);
  QuestionResult result = judge_answer(set.questions[1], 2, said("#### 2\nQ: next? 5"), options());
  score_answer(set.questions[1], Extractor::kFlexible, result);
  EXPECT_EQ(result.status, QuestionStatus::kWrong);
  EXPECT_EQ(result.pred, "5");
  score_answer(set.questions[1], Extractor::kStrict, result);
  EXPECT_EQ(result.status, QuestionStatus::kOk);
}

}  // namespace
}  // namespace nvllm::bench
