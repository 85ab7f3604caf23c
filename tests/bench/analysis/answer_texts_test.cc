#include "bench/analysis/answer_texts.h"

#include <gtest/gtest.h>

#include "bench/accuracy/summary.h"
#include "bench/analysis/synthetic_folders.h"
#include "bench/analysis/written_folder.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

TEST(AnswerTexts, ComeOutOfTheFoldersOwnFile) {
  const test::TempFolder temp;
  EvidenceFolder now = folder(1);
  now.path = temp.path();
  std::vector<QuestionResult> written = {now.legs[0].questions[4]};
  written[0].question = "How many?";
  written[0].output_tail = "#### 42";
  put_file(temp.path() / "few/rounds/01/gsm8k/outputs.jsonl", format_outputs(written));
  const Json json = answer_texts_json(rules(), folder(1), now);
  const Json& fifth = json.at("legs").at(0).at("questions").at(4);
  EXPECT_EQ(fifth.at("question"), 5);
  EXPECT_EQ(fifth.at("asked"), "How many?");
  EXPECT_EQ(fifth.at("candidate").at("output"), "#### 42");
  EXPECT_EQ(fifth.at("baseline").at("output"), "");
  EXPECT_EQ(fifth.at("same"), true);  // by their hashes
}

TEST(AnswerTexts, AreCutBetweenCharacters) {
  EvidenceFolder now = folder(1);
  // 1,999 bytes; the last 1,200 begin inside an e with an accent.
  std::string text;
  while (text.size() < 1998) text += "\xC3\xA9";
  now.legs[0].questions[0].output_tail = text + "x";
  const Json json = answer_texts_json(rules(), now, now);
  const std::string kept = json.at("legs").at(0).at("questions").at(0).at("candidate").at("output");
  EXPECT_EQ(kept.size(), 4 + 1199u);
  EXPECT_EQ(kept.substr(0, 6), "... \xC3\xA9");
}

TEST(AnswerTexts, WhereTheyAreTooManyThoseThatChangedAreKept) {
  EvidenceFolder before = folder(1), now = folder(1);
  for (EvidenceFolder* side : {&before, &now}) {
    for (LegEvidence& leg : side->legs) {
      leg.questions.clear();
      for (std::int64_t i = 1; i <= 800; ++i) {
        leg.questions.push_back(answer(i, QuestionStatus::kOk));
        leg.questions.back().output_tail = std::string(1000, side == &now ? 'n' : 'b');
      }
    }
  }
  now.legs[1].questions[799] = answer(800, QuestionStatus::kWrong);
  now.legs[1].questions[799].output_tail = "#### 41";
  const Json json = answer_texts_json(rules(), before, now);
  EXPECT_TRUE(json.at("legs").at(1).at("questions").at(799).contains("asked"));
  EXPECT_FALSE(json.at("legs").at(1).at("questions").at(798).contains("asked"));
  EXPECT_GT(json.at("left_out").get<std::int64_t>(), 1200);
}

}  // namespace
}  // namespace nvllm::bench
