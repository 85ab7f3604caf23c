#include "bench/turns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nvllm::bench {
namespace {

TEST(Turns, TheSecondGoesOnFromTheFirstWithTheSameBits) {
  TurnsOptions options{.model = "synthetic:tiny-hybrid", .context = 100, .added = 21, .rounds = 2, .engine = {}};
  options.engine.device = "cpu";
  options.engine.thread_count = 2;
  const TurnsReport report = measure_turns(options);
  EXPECT_EQ(report.cached_tokens, 100);
  EXPECT_TRUE(report.same_bits);
  EXPECT_EQ(report.warm_seconds.size(), 2u);
  EXPECT_GT(report.cold_seconds, 0);
  EXPECT_EQ(turns_json(report)["cached_tokens"], 100);
  EXPECT_THAT(turns_summary(report), testing::HasSubstr("the same bits"));
}

}  // namespace
}  // namespace nvllm::bench
