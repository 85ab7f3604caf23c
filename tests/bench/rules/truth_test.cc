#include "bench/rules/truth.h"

#include <gtest/gtest.h>

#include <array>

namespace nvllm::bench {
namespace {

constexpr std::array<Truth, 3> kAll = {Truth::kFalse, Truth::kUnknown, Truth::kTrue};

TEST(Truth, AndAndOrFollowKleenesTables) {
  EXPECT_EQ(truth_and(Truth::kUnknown, Truth::kFalse), Truth::kFalse);
  EXPECT_EQ(truth_and(Truth::kUnknown, Truth::kTrue), Truth::kUnknown);
  EXPECT_EQ(truth_or(Truth::kUnknown, Truth::kTrue), Truth::kTrue);
  EXPECT_EQ(truth_or(Truth::kUnknown, Truth::kFalse), Truth::kUnknown);
  EXPECT_EQ(truth_not(Truth::kUnknown), Truth::kUnknown);
  EXPECT_EQ(truth_not(Truth::kTrue), Truth::kFalse);
}

TEST(Truth, ObeysDeMorgan) {
  for (const Truth a : kAll) {
    for (const Truth b : kAll) {
      EXPECT_EQ(truth_not(truth_and(a, b)), truth_or(truth_not(a), truth_not(b)));
      EXPECT_EQ(truth_and(a, b), truth_and(b, a));
    }
  }
}

TEST(Grade, TheWeakerWins) {
  EXPECT_EQ(weakest(Grade::kConfirmed, Grade::kProvisional), Grade::kProvisional);
  EXPECT_EQ(weakest(Grade::kConfirmed, Grade::kConfirmed), Grade::kConfirmed);
  EXPECT_EQ(to_string(Grade::kProvisional), "PROVISIONAL");
  EXPECT_EQ(to_string(Truth::kUnknown), "unknown");
}

}  // namespace
}  // namespace nvllm::bench
