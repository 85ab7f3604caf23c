#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"
#include "bench/report/panels.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

EvidenceFolder answered() {
  EvidenceFolder made = folder(2);
  for (LegEvidence& leg : made.legs) leg.questions.resize(20);
  for (LegEvidence& leg : made.legs) {
    for (QuestionResult& q : leg.questions) q.output_tail = "so it is #### 42";
  }
  return made;
}

TEST(QuestionsPanel, EveryMarkLeadsToItsAnswers) {
  EvidenceFolder now = answered();
  now.legs[1].questions[6].status = QuestionStatus::kWrong;
  now.legs[1].questions[6].correct = false;
  now.legs[1].questions[6].output_tail = "so it is #### 41";
  now.legs[1].questions[6].output_sha256 = "other";
  now.legs[0].questions[2].status = QuestionStatus::kTimeout;
  const Json analysis = compared(answered(), now).analysis;
  const std::string html = questions_panel(analysis) + answers_panel(analysis);
  EXPECT_EQ(count_of(html, "<a href=\"#q"), 40u);
  EXPECT_THAT(html, HasSubstr("<a href=\"#q1-7\" class=\"q flip other\" title=\"question 7: right "
                              "before, wrong now, another "
                              "answer\"><i class=\"ok\"></i><i class=\"wr\">x</i></a>"));
  EXPECT_THAT(html, HasSubstr("question 3: right before, cut off now"));
  EXPECT_THAT(html, HasSubstr("<div id=\"q1-7\">"));
  EXPECT_THAT(html, HasSubstr("<pre>so it is #### 41</pre>"));
  EXPECT_EQ(count_of(html, "the same in both: "), 38u);
  EXPECT_THAT(html, HasSubstr("38 answers the same, or not known to differ"));
}

TEST(AnswersPanel, EscapesQuestionsAnswersAndWhatWasReadInThem) {
  EvidenceFolder now = answered();
  QuestionResult& q = now.legs[0].questions[0];
  q.question = q.output_tail = q.pred = q.gold = kHostile;
  const Json analysis = compared(now, now).analysis;
  const std::string html = questions_panel(analysis) + answers_panel(analysis);
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("<b onclick")));
}

TEST(AnswersPanel, LongAnswersKeepTheirEndAndSoManyTextsAreLeftOutThatTheReportStaysSmall) {
  EvidenceFolder now = folder(2);
  for (LegEvidence& leg : now.legs) {
    leg.questions.clear();
    for (std::int64_t i = 1; i <= 1319; ++i) {
      leg.questions.push_back(answer(i, QuestionStatus::kOk));
      leg.questions.back().output_tail = std::string(5000, 'x') + "\xC3\xA9 THE END";
    }
  }
  const Json analysis = compared(now, now).analysis;
  const std::string html = questions_panel(analysis) + answers_panel(analysis);
  EXPECT_LT(html.size(), std::size_t{1500} << 10);
  EXPECT_THAT(html, HasSubstr("THE END</pre>"));
  EXPECT_GT(analysis.at("answers").at("left_out").get<std::int64_t>(), 1000);
  EXPECT_THAT(html, HasSubstr("answers are not shown"));
}

TEST(AnswersPanel, ThousandsOfShortAnswersAreNoMoreThanFewLongOnes) {
  EvidenceFolder now = folder(2);
  for (LegEvidence& leg : now.legs) {
    leg.questions.clear();
    for (std::int64_t i = 1; i <= 1319; ++i) {
      leg.questions.push_back(answer(i, QuestionStatus::kOk));
      leg.questions.back().output_tail = "42";
    }
  }
  const Json analysis = compared(now, now).analysis;
  EXPECT_GT(analysis.at("answers").at("left_out").get<std::int64_t>(), 500);
  EXPECT_LT(answers_panel(analysis).size(), std::size_t{900} << 10);
}

}  // namespace
}  // namespace nvllm::bench
