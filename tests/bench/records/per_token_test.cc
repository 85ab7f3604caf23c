#include "bench/records/per_token.h"

#include <gtest/gtest.h>

#include <array>

namespace nvllm::bench {
namespace {

KernelTable two_kernels() {
  KernelTable table;
  table.requests = 2;
  table.decode_steps = 100;
  table.rows.resize(2);
  table.rows[0].short_name = "DecodeKernel";
  table.rows[0].n_calls = 1400;
  table.rows[0].mean_us = 1000;
  table.rows[0].total_ms = 1400;
  table.rows[1].short_name = "other";
  table.rows[1].n_calls = 10;
  table.rows[1].mean_us = 5000;
  table.rows[1].total_ms = 50;
  return table;
}

TEST(PerToken, NamedIsMeanTimesCallsPerStep) {
  const std::array<std::string_view, 1> names = {"DecodeKernel"};
  EXPECT_DOUBLE_EQ(named_ms_per_step(two_kernels(), names).value(), 14.0);
  EXPECT_DOUBLE_EQ(kernels_ms_per_step(two_kernels()).value(), 14.5);
}

TEST(PerToken, IsUnknownWithoutDecodeSteps) {
  KernelTable table = two_kernels();
  table.decode_steps = 0;
  EXPECT_FALSE(kernels_ms_per_step(table).has_value());
  EXPECT_FALSE(named_ms_per_step(table, {}).has_value());
}

std::vector<QuestionResult> answers(std::initializer_list<std::int64_t> tokens) {
  std::vector<QuestionResult> made;
  for (const std::int64_t n : tokens) {
    QuestionResult answer;
    answer.completion_tokens = n;
    answer.wall_time_s = 0.3 + 0.437 * static_cast<double>(n);
    answer.finish_reason = "stop";
    made.push_back(answer);
  }
  return made;
}

TEST(PerToken, WallSlopeLeavesOutWhatEveryRequestPaysOnce) {
  const auto slope = wall_ms_per_token(answers({10, 50, 200})).value();
  EXPECT_NEAR(slope.ms_per_token, 437.0, 1e-9);
  EXPECT_NEAR(slope.intercept_ms, 300.0, 1e-6);
  EXPECT_EQ(slope.answers, 3);
}

TEST(PerToken, WallSlopeTakesNoCensoredAnswer) {
  auto some = answers({10, 50, 200, 400});
  some.back().censored = true;
  some.back().wall_time_s = 9999;
  EXPECT_NEAR(wall_ms_per_token(some).value().ms_per_token, 437.0, 1e-9);
}

TEST(PerToken, WallSlopeNeedsThreeAnswersThatDiffer) {
  EXPECT_FALSE(wall_ms_per_token(answers({10, 50})).has_value());
  EXPECT_FALSE(wall_ms_per_token(answers({10, 10, 10})).has_value());
}

}  // namespace
}  // namespace nvllm::bench
