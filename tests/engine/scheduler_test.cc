#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <set>

#include "support/scripted_runner.h"

namespace nvllm::engine {
namespace {

/// A scheduler with its runner, stepped by hand.
class SchedulerTest : public testing::Test {
 protected:
  void start(const EngineLimits& limits) {
    limits_ = limits;
    scheduler_ = std::make_unique<Scheduler>(limits);
    runner_ = std::make_unique<test::ScriptedRunner>(limits);
  }

  std::shared_ptr<TokenStream> add(std::int64_t prompt, std::int64_t max_tokens, std::vector<std::int32_t> stop = {},
                                   std::int64_t priority = 0) {
    auto sequence = std::make_unique<Sequence>();
    sequence->request.prompt.assign(static_cast<std::size_t>(prompt), 7);
    sequence->request.max_tokens = max_tokens;
    sequence->request.stop_ids = std::move(stop);
    sequence->request.priority = priority;
    sequence->stream = std::make_shared<TokenStream>();
    auto stream = sequence->stream;
    scheduler_->add(std::move(sequence));
    return stream;
  }

  StepPlan step() {
    StepPlan plan = scheduler_->plan();
    check(plan);
    const StepPlan copy{plan.slot_copies, plan.block_copies, plan.ids, plan.segments, plan.logit_rows, {}, {}};
    scheduler_->commit(runner_->run(plan));
    return copy;
  }

  /// What every plan must be: within limits, rows back to back, no block or slot owned twice.
  void check(const StepPlan& plan) const {
    EXPECT_LE(static_cast<std::int64_t>(plan.ids.size()), limits_.max_num_batched_tokens);
    EXPECT_LE(static_cast<std::int64_t>(plan.logit_rows.size()), limits_.logit_rows);
    std::int64_t row = 0;
    std::set<std::int32_t> blocks, slots;
    for (const Segment& segment : plan.segments) {
      EXPECT_EQ(segment.first_row, row);
      row += segment.token_count;
      EXPECT_TRUE(slots.insert(segment.slot).second);
      for (const std::int32_t block : segment.blocks) EXPECT_TRUE(blocks.insert(block).second);
      EXPECT_GE(static_cast<std::int64_t>(segment.blocks.size()) * limits_.kv_block_tokens,
                segment.start + segment.token_count);
    }
    EXPECT_EQ(row, static_cast<std::int64_t>(plan.ids.size()));
    EXPECT_TRUE(std::is_sorted(plan.logit_rows.begin(), plan.logit_rows.end()));
  }

  EngineStats stats() const {
    EngineStats out;
    scheduler_->report(out);
    return out;
  }

  EngineLimits limits_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<test::ScriptedRunner> runner_;
};

TEST_F(SchedulerTest, ComputesAPromptThenOneTokenAStep) {
  start(test::small_limits());
  const auto stream = add(3, 2);
  EXPECT_EQ(step().ids.size(), 3u);
  EXPECT_EQ(step().ids.size(), 1u);
  const StreamEvent event = stream->poll();
  ASSERT_EQ(event.tokens.size(), 2u);
  EXPECT_EQ(event.tokens[0].id, 3);
  EXPECT_EQ(event.tokens[1].id, 4);
  EXPECT_EQ(event.finish, FinishReason::kLength);
  EXPECT_TRUE(scheduler_->idle());
  EXPECT_EQ(stats().kv_blocks_used, 0);
  EXPECT_EQ(stats().state_slots_used, 0);
}

TEST_F(SchedulerTest, KeepsDecodingWhileALongPromptIsChunked) {
  start(test::small_limits());
  add(2, 20);
  step();
  add(20, 4);
  const StepPlan plan = step();
  ASSERT_EQ(plan.segments.size(), 2u);
  EXPECT_EQ(plan.segments[0].token_count, 1);
  EXPECT_EQ(plan.segments[1].token_count, 7);  // the rest of the budget of 8
  EXPECT_EQ(plan.segments[1].start, 0);
  EXPECT_EQ(step().segments[1].start, 7);
}

TEST_F(SchedulerTest, StopsAtAStopIdAndReportsWhich) {
  start(test::small_limits());
  const auto stream = add(3, 10, {5});
  for (int i = 0; i < 3; ++i) step();
  const StreamEvent event = stream->poll();
  EXPECT_EQ(event.finish, FinishReason::kStop);
  EXPECT_EQ(event.stop_id, 5);
  EXPECT_EQ(event.tokens.back().id, 5);
}

TEST_F(SchedulerTest, AdmitsNoMoreThanTheLimitAndInOrder) {
  start(test::small_limits());
  for (int i = 0; i < 6; ++i) add(1, 3);
  EXPECT_EQ(step().segments.size(), 4u);
  EXPECT_EQ(stats().running, 4);
  EXPECT_EQ(stats().waiting, 2);
}

TEST_F(SchedulerTest, ServesTheMoreUrgentFirstAndPreemptsTheLeastUrgent) {
  EngineLimits limits = test::small_limits();
  limits.max_num_seqs = 2;
  start(limits);
  const auto first = add(2, 1, {}, 5), last = add(2, 1, {}, 5), urgent = add(2, 1, {}, -1), usual = add(2, 1);
  step();
  EXPECT_FALSE(urgent->poll().empty());
  EXPECT_FALSE(usual->poll().empty());
  EXPECT_TRUE(first->poll().empty());
  limits.kv_block_count = 8;
  limits.max_num_seqs = 4;
  limits.max_num_batched_tokens = 64;
  start(limits);
  const auto patient = add(6, 16, {}, 1);
  std::vector<std::shared_ptr<TokenStream>> others;
  for (int i = 0; i < 3; ++i) others.push_back(add(6, 16));
  for (int i = 0; i < 4; ++i) step();
  EXPECT_GT(stats().preemptions, 0);
  EXPECT_EQ(patient->poll().tokens.size(), 3u);  // the oldest, but the least urgent: its memory went to the others
  EXPECT_EQ(others.front()->poll().tokens.size(), 4u);
  int steps = 0;
  while (!scheduler_->idle()) {
    ASSERT_LT(++steps, 200);
    step();
  }
}

TEST_F(SchedulerTest, PreemptsTheYoungestAndFinishesEverything) {
  EngineLimits limits = test::small_limits();
  limits.kv_block_count = 8;  // 32 positions for four sequences of up to 22
  limits.max_num_batched_tokens = 64;
  start(limits);
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (int i = 0; i < 4; ++i) streams.push_back(add(6, 16));
  int steps = 0;
  while (!scheduler_->idle()) {
    ASSERT_LT(++steps, 200);
    step();
  }
  EXPECT_GT(stats().preemptions, 0);
  for (const auto& stream : streams) {
    const StreamEvent event = stream->poll();
    EXPECT_EQ(event.finish, FinishReason::kLength);
    ASSERT_EQ(event.tokens.size(), 16u);
    for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(event.tokens[i].id, static_cast<std::int32_t>(6 + i));
  }
  EXPECT_EQ(stats().kv_blocks_used, 0);
}

TEST_F(SchedulerTest, NeverPreemptsTheOldest) {
  EngineLimits limits = test::small_limits();
  limits.kv_block_count = 8;
  limits.max_num_batched_tokens = 64;
  start(limits);
  const auto oldest = add(6, 16);
  for (int i = 0; i < 3; ++i) add(6, 16);
  for (int i = 0; i < 16; ++i) {
    const StepPlan plan = step();
    EXPECT_EQ(plan.segments.front().start, i == 0 ? 0 : 5 + i);  // one more token every step
  }
  EXPECT_EQ(oldest->poll().finish, FinishReason::kLength);
}

TEST_F(SchedulerTest, DropsACancelledRequestAndItsMemory) {
  start(test::small_limits());
  const auto running = add(3, 10), waiting = add(3, 10);
  step();
  running->cancel();
  waiting->cancel();
  scheduler_->drop_cancelled();
  EXPECT_TRUE(scheduler_->idle());
  EXPECT_EQ(stats().kv_blocks_used, 0);
  EXPECT_EQ(running->poll().finish, FinishReason::kCancelled);
}

TEST_F(SchedulerTest, EndsOnlyTheRequestWhoseLogitsAreNotFinite) {
  limits_ = test::small_limits();
  scheduler_ = std::make_unique<Scheduler>(limits_);
  runner_ = std::make_unique<test::ScriptedRunner>(
      limits_, [](const SampleTask& task) { return task.prompt.size() == 3 ? -1 : 9; });
  const auto bad = add(3, 4), good = add(2, 4);
  step();
  EXPECT_EQ(bad->poll().finish, FinishReason::kError);
  EXPECT_EQ(good->poll().finish, FinishReason::kNone);
}

TEST_F(SchedulerTest, ScoresAPromptWithinItsLogitRowsAndWithoutGeneration) {
  start(test::small_limits());
  auto sequence = std::make_unique<Sequence>();
  for (int i = 0; i < 20; ++i) sequence->request.prompt.push_back(i);
  sequence->request.max_tokens = 0;
  sequence->request.sampling.prompt_logprobs = 0;
  sequence->stream = std::make_shared<TokenStream>();
  const auto stream = sequence->stream;
  scheduler_->add(std::move(sequence));
  while (!scheduler_->idle()) step();
  const StreamEvent event = stream->poll();
  EXPECT_EQ(event.finish, FinishReason::kLength);
  ASSERT_EQ(event.prompt.size(), 20u);
  EXPECT_FALSE(event.prompt[0].logprob);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(event.prompt[static_cast<std::size_t>(i)].id, i);
  EXPECT_TRUE(event.prompt[19].logprob);
}

TEST_F(SchedulerTest, ReportsTheOnlyTokenOfAPromptOnceIfItIsAskedFor) {
  for (const std::int64_t max_tokens : {0, 1, 3}) {
    for (const std::int64_t prompt_logprobs : {-1, 0, 2}) {
      start(test::small_limits());
      auto sequence = std::make_unique<Sequence>();
      sequence->request.prompt = {5};
      sequence->request.max_tokens = max_tokens;
      sequence->request.sampling.prompt_logprobs = prompt_logprobs;
      sequence->stream = std::make_shared<TokenStream>();
      const auto stream = sequence->stream;
      scheduler_->add(std::move(sequence));
      while (!scheduler_->idle()) step();
      const StreamEvent event = stream->poll();
      EXPECT_EQ(event.finish, FinishReason::kLength);
      EXPECT_EQ(event.tokens.size(), static_cast<std::size_t>(max_tokens));
      ASSERT_EQ(event.prompt.size(), prompt_logprobs < 0 ? 0u : 1u) << max_tokens << " " << prompt_logprobs;
      if (prompt_logprobs < 0) continue;
      EXPECT_EQ(event.prompt[0].id, 5);
      EXPECT_FALSE(event.prompt[0].logprob);
    }
  }
}

TEST_F(SchedulerTest, ReportsAPromptOnceThoughItIsComputedTwice) {
  EngineLimits limits = test::small_limits();
  limits.kv_block_count = 5;  // both prompts fit, but not what follows: the younger one is pre-empted
  start(limits);
  const auto older = add(8, 8);
  auto sequence = std::make_unique<Sequence>();
  sequence->request.prompt = {5, 6, 7};
  sequence->request.max_tokens = 6;
  sequence->request.sampling.prompt_logprobs = 0;
  sequence->stream = std::make_shared<TokenStream>();
  const auto stream = sequence->stream;
  scheduler_->add(std::move(sequence));
  while (!scheduler_->idle()) step();
  EXPECT_GT(stats().preemptions, 0);
  const StreamEvent event = stream->poll();
  ASSERT_EQ(event.prompt.size(), 3u);
  for (std::int32_t i = 0; i < 3; ++i) EXPECT_EQ(event.prompt[static_cast<std::size_t>(i)].id, 5 + i);
  EXPECT_EQ(event.tokens.size(), 6u);
}

TEST_F(SchedulerTest, BansStopIdsUntilMinTokens) {
  start(test::small_limits());
  auto sequence = std::make_unique<Sequence>();
  sequence->request.prompt = {1, 2};
  sequence->request.max_tokens = 5;
  sequence->request.min_tokens = 2;
  sequence->request.stop_ids = {0};
  sequence->stream = std::make_shared<TokenStream>();
  scheduler_->add(std::move(sequence));
  for (std::size_t i = 0; i < 4; ++i) {
    const StepPlan plan = scheduler_->plan();
    ASSERT_EQ(plan.samples.size(), 1u);
    EXPECT_EQ(plan.samples[0].banned.size(), i < 2 ? 1u : 0u);
    scheduler_->commit(runner_->run(plan));
  }
}

}  // namespace
}  // namespace nvllm::engine
