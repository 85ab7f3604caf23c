#include "bench/store/resume.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using Action = UnitWork::Action;
using Outcome = SealCheck::Outcome;

const PlannedUnit kProfile{{"lower8", "profile", 1}, "p"};

JournalEvent event(std::string_view word, Json data = Json::object()) {
  JournalEvent made;
  made.event = word;
  made.unit = unit_name(kProfile.unit);
  made.data = std::move(data);
  return made;
}

UnitWork left(std::vector<JournalEvent> journal, UnitFound found) {
  return plan_resume(std::vector{kProfile}, journal, std::vector{found}).at(0);
}

TEST(Resume, AnUntouchedUnitIsRunForTheFirstTime) {
  const UnitWork work = left({}, {});
  EXPECT_EQ(work.action, Action::kRun);
  EXPECT_EQ(work.attempt, 1);
  EXPECT_EQ(work.reason, "not run yet");
}

TEST(Resume, AValidSealIsDoneEvenIfTheJournalDoesNotKnowYet) {
  const UnitWork work = left({event(events::kStarted)}, {{Outcome::kValid, "", 1, "SEALED"}, true});
  EXPECT_EQ(work.action, Action::kDone);
  EXPECT_EQ(work.attempt, 1);
}

TEST(Resume, ADeathIsToldWithTheStateItHappenedIn) {
  const UnitWork work =
      left({event(events::kStarted), event(events::kState, Json{{"state", "MEASURING"}})}, {{}, true});
  EXPECT_EQ(work.action, Action::kSetAsideAndRun);
  EXPECT_EQ(work.attempt, 2);
  EXPECT_EQ(work.reason, "attempt 1 died while MEASURING");
}

TEST(Resume, AFailureIsToldWithItsReason) {
  const UnitWork work = left({event(events::kStarted), event(events::kFailed, Json{{"reason", "watchdog"}}),
                              event(events::kStarted), event(events::kFailed, Json{{"reason", "server died"}})},
                             {});
  EXPECT_EQ(work.action, Action::kRun);
  EXPECT_EQ(work.attempt, 3);
  EXPECT_EQ(work.reason, "attempt 2 failed: server died");
}

TEST(Resume, AnInvalidSealIsSetAsideAndItsAttemptIsNotCountedTwice) {
  const UnitWork work = left({event(events::kStarted), event(events::kSealed)},
                             {{Outcome::kInvalid, "x.csv is missing", 1, "SEALED"}, true});
  EXPECT_EQ(work.action, Action::kSetAsideAndRun);
  EXPECT_EQ(work.attempt, 2);
  EXPECT_EQ(work.reason, "x.csv is missing");
}

TEST(Resume, KeepsTheOrderOfThePlanAndTellsUnitsApart) {
  const std::vector<PlannedUnit> planned = {
      kProfile, {{"lower8", "profile", 2}, "q"}, {{"all-beta", "profile", 1}, "r"}};
  const auto work = plan_resume(planned, std::vector{event(events::kStarted)},
                                std::vector<UnitFound>{{{Outcome::kValid, "", 1, "SEALED"}, true}, {}, {{}, true}});
  ASSERT_EQ(work.size(), 3u);
  EXPECT_EQ(work[0].action, Action::kDone);
  EXPECT_EQ(work[1].action, Action::kRun);
  EXPECT_EQ(work[1].attempt, 1) << "the event was of another round";
  EXPECT_EQ(work[2].action, Action::kSetAsideAndRun);
  EXPECT_EQ(work[2].planned.unit.leg, "all-beta");
}

}  // namespace
}  // namespace nvllm::bench
