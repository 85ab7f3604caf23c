#include "bench/problems.h"

#include <gtest/gtest.h>

namespace nvllm::bench {
namespace {

TEST(FinalAnswer, ReadsTheNumberAfterTheLastMark) {
  EXPECT_EQ(final_answer("a #### 12\nb\n#### 1,032"), "1032");
  EXPECT_EQ(final_answer("#### -7."), "-7");
  EXPECT_EQ(final_answer("#### $3.50 each"), "3.50");
  EXPECT_EQ(final_answer("####\n 5"), "5");
  EXPECT_EQ(final_answer("#### 12\nQuestion: 13"), "12");
}

TEST(FinalAnswer, FindsNothingWithoutAMarkOrANumber) {
  EXPECT_EQ(final_answer("the answer is 12"), std::nullopt);
  EXPECT_EQ(final_answer("#### none"), std::nullopt);
  EXPECT_EQ(final_answer(""), std::nullopt);
}

}  // namespace
}  // namespace nvllm::bench
