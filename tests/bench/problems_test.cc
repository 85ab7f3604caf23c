#include "bench/problems.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"

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

class ProblemFile : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& text) {
    const auto path = std::filesystem::temp_directory_path() / "nvllm_problems_test.jsonl";
    std::ofstream(path) << text;
    return path;
  }
};

TEST_F(ProblemFile, ReadsUpToTheLimit) {
  const auto path = write("{\"question\":\"q1\",\"answer\":\"#### 1\"}\n\n{\"question\":\"q2\",\"answer\":\"#### 2\"}\n");
  EXPECT_EQ(read_problems(path, 0).size(), 2u);
  EXPECT_EQ(read_problems(path, 1).size(), 1u);
  EXPECT_EQ(read_problems(path, 0)[1].question, "q2");
}

TEST_F(ProblemFile, RefusesABadLineByNumberAndField) {
  const auto path = write("{\"question\":\"q1\",\"answer\":\"#### 1\"}\n{\"question\":3,\"answer\":\"\"}\n");
  try {
    read_problems(path, 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(":2: field 'question'"), std::string::npos) << error.what();
  }
  EXPECT_THROW(read_problems(write(""), 0), Error);
  EXPECT_THROW(read_problems(write("[1]\n"), 0), Error);
  EXPECT_THROW(read_problems("/nonexistent/problems.jsonl", 0), Error);
}

}  // namespace
}  // namespace nvllm::bench
