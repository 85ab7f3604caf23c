#include "bench/repeat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/scripted_runner.h"

namespace nvllm::bench {
namespace {

using ::testing::HasSubstr;

/// Shows logits of its own with every step; those of one step have one bit changed.
class FickleRunner final : public engine::Runner {
 public:
  explicit FickleRunner(std::int64_t fickle_step)
      : scripted_(test::small_limits()), fickle_step_(fickle_step) {}

  const engine::EngineLimits& limits() const override { return scripted_.limits(); }
  void set_logit_listener(engine::LogitListener listener) override {
    listener_ = std::move(listener);
  }
  engine::StepResult run(const engine::StepPlan& plan) override {
    std::vector<float> logits(1000, 0.5f);
    if (steps_++ == fickle_step_) logits[777] = std::nextafter(0.5f, 1.0f);
    listener_(plan, {logits.data(), 1, 1000});
    return scripted_.run(plan);
  }

 private:
  test::ScriptedRunner scripted_;
  engine::LogitListener listener_;
  std::int64_t steps_ = 0, fickle_step_;
};

constexpr std::int64_t kTokens = 6;

RepeatReport twice(std::int64_t fickle_step) {
  FickleRunner runner(fickle_step);
  return repeat_request(
      runner, {.model = "m", .prompt_tokens = 4, .tokens = kTokens, .seconds = 0, .engine = {}});
}

TEST(Repeat, EqualBitsAreNothingToReport) {
  const RepeatReport report = twice(-1);
  EXPECT_EQ(report.rounds, 2);
  EXPECT_TRUE(report.others.empty());
  EXPECT_THAT(repeat_summary(report), HasSubstr("2 rounds of 1 x 6 tokens"));
}

TEST(Repeat, NamesTheRoundAndTheDrawOfOneOtherBit) {
  const RepeatReport report = twice(kTokens + 3);
  ASSERT_EQ(report.others.size(), 1u);
  EXPECT_EQ(report.others[0].round, 2);
  EXPECT_EQ(report.others[0].draw, 3);
  EXPECT_THAT(repeat_summary(report), HasSubstr("round 2 from draw 3 on"));
  EXPECT_EQ(repeat_json(report)["others"][0]["draw"], 3);
}

TEST(Repeat, TheCpuRepeatsItself) {
  RepeatOptions options{.model = "synthetic:tiny-hybrid", .seconds = 0, .engine = {}};
  options.engine.device = "cpu";
  options.engine.thread_count = 2;
  for (const std::int64_t batch : {1, 5}) {
    options.batch = batch;
    const RepeatReport report = repeat_request(options);
    EXPECT_EQ(report.batch, batch);
    EXPECT_TRUE(report.others.empty());
  }
}

}  // namespace
}  // namespace nvllm::bench
