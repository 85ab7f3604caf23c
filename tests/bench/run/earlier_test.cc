#include "bench/run/earlier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "bench/store/perq.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

namespace fs = std::filesystem;

JournalEvent event(std::string_view word, const std::string& unit, Json data) {
  JournalEvent one;
  one.event = word;
  one.unit = unit;
  one.data = std::move(data);
  return one;
}

/// One attempt as the journal tells it: started, the states it reached, set aside.
void add_attempt(std::vector<JournalEvent>& journal, const std::string& unit, std::int64_t attempt,
                 const std::string& hash, const std::string& last_state) {
  journal.push_back(event(events::kStarted, unit, {{"attempt", attempt}, {"unit_hash", hash}}));
  journal.push_back(event(events::kState, unit, {{"state", "READY"}}));
  journal.push_back(event(events::kState, unit, {{"state", last_state}}));
  journal.push_back(event(events::kSetAside, unit,
                          {{"to", "a/attempts/0" + std::to_string(attempt)},
                           {"reason", "attempt died while " + last_state}}));
}

QuestionResult answer(std::int64_t index, const std::string& boot, QuestionStatus status) {
  QuestionResult result;
  result.label = result.leg = "a";
  result.prompt_index = index;
  result.boot_id = boot;
  result.status = status;
  result.correct = status == QuestionStatus::kOk;
  result.censored = status == QuestionStatus::kTimeout;
  return result;
}

EarlierAttempt left(const fs::path& folder, const std::string& state,
                    const std::vector<QuestionResult>& results, const std::string& torn = "") {
  fs::create_directories(folder);
  std::ofstream(folder / "perq.jsonl") << format_perq(results) << torn;
  EarlierAttempt attempt;
  attempt.folder = folder;
  attempt.state = state;
  return attempt;
}

TEST(EarlierAttempts, AreThoseOfTheUnitAndItsGroupThatWereSetAside) {
  std::vector<JournalEvent> journal;
  add_attempt(journal, "a/rounds/01/gsm8k", 1, "old", "MEASURING");
  add_attempt(journal, "a/rounds/01/gsm8k", 2, "same", "MEASURING");
  add_attempt(journal, "b/rounds/01/gsm8k", 3, "same", "MEASURING");
  add_attempt(journal, "a/rounds/01/gsm8k", 4, "same", "STOPPING");
  journal.push_back(
      event(events::kStarted, "a/rounds/01/gsm8k", {{"attempt", 5}, {"unit_hash", "same"}}));
  const auto found = earlier_attempts(journal, "a/rounds/01/gsm8k", "same", "/e");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].attempt, 2);
  EXPECT_EQ(found[0].state, "MEASURING");
  EXPECT_EQ(found[0].folder, "/e/a/attempts/02");
  EXPECT_EQ(found[0].ended, "attempt died while MEASURING");
  EXPECT_EQ(found[1].attempt, 4);
  EXPECT_EQ(found[1].state, "STOPPING");
}

TEST(EarlierAttempts, KeepAnsweredAndCutOffQuestionsOnceAndNothingElse) {
  const nvllm::testing::TempFolder temp;
  const auto first =
      left(temp / "1", "MEASURING",
           {answer(1, "one", QuestionStatus::kOk), answer(2, "one", QuestionStatus::kTimeout),
            answer(3, "one", QuestionStatus::kServerDied)},
           "{\"prompt_index\":4,\"cor");
  // It began with what it had kept itself.
  const auto second =
      left(temp / "2", "MEASURING",
           {answer(1, "one", QuestionStatus::kOk), answer(3, "two", QuestionStatus::kWrong)});
  // Killed while it was starting: it left nothing, and forgets nothing.
  EarlierAttempt third;
  third.folder = temp / "3";
  third.state = "STARTING";
  const std::vector<QuestionResult> kept = kept_answers({first, second, third});
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept[0].boot_id, "one");
  EXPECT_TRUE(kept[1].censored);
  EXPECT_EQ(kept[2].prompt_index, 3);
  EXPECT_EQ(kept[2].boot_id, "two");
}

TEST(EarlierAttempts, ABootThatEndedAfterItsQuestionsKeepsNone) {
  const nvllm::testing::TempFolder temp;
  EXPECT_TRUE(kept_answers({left(temp / "1", "STOPPING", {answer(1, "one", QuestionStatus::kOk)})})
                  .empty());
}

}  // namespace
}  // namespace nvllm::bench
