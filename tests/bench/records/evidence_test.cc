#include "bench/records/evidence.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace nvllm::bench {
namespace {

TEST(Unit, NameIsItsPlaceInTheFolderAndReadsBack) {
  const Unit unit{"phaseE-off", "gsm8k", 3};
  EXPECT_EQ(unit_name(unit), "phaseE-off/rounds/03/gsm8k");
  EXPECT_EQ(parse_unit_name(unit_name(unit)), unit);
  EXPECT_EQ(parse_unit_name("a/rounds/123/profile").round, 123);
}

TEST(Unit, RefusesNamesThatWouldLeaveTheFolder) {
  EXPECT_THROW(unit_name({"..", "profile", 1}), Error);
  EXPECT_THROW(unit_name({"a/b", "profile", 1}), Error);
  EXPECT_THROW(unit_name({"a", "", 1}), Error);
  EXPECT_THROW(unit_name({"a", "profile", 0}), Error);
  for (const char* name : {"", "a/rounds/01", "a/rounds/1/profile", "a/rounds/00/p", "a/rounds/x1/p", "../rounds/01/p",
                           "a/rounds/01/p/q", "a/b/rounds/01/p", "/rounds/01/p", "a/rounds/"}) {
    EXPECT_THROW(parse_unit_name(name), Error) << name;
  }
}

TEST(QuestionStatus, NamesReadBack) {
  using enum QuestionStatus;
  for (const QuestionStatus status : {kOk, kWrong, kTimeout, kHttpError, kServerDied, kNoAnswer}) {
    EXPECT_EQ(parse_question_status(to_string(status)), status);
  }
  EXPECT_FALSE(parse_question_status("OK").has_value());
}

}  // namespace
}  // namespace nvllm::bench
