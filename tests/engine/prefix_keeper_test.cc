#include "engine/prefix_keeper.h"

#include <gtest/gtest.h>

#include <numeric>

#include "engine/scheduler.h"
#include "support/scripted_runner.h"

namespace nvllm::engine {
namespace {

/// A scheduler that caches, and what its plans say. Blocks of four tokens.
class PrefixKeeperTest : public testing::Test {
 protected:
  PrefixKeeperTest() {
    limits_ = test::small_limits();
    limits_.max_model_len = 200;
    limits_.max_num_batched_tokens = 64;
    limits_.kv_block_count = 100;
    limits_.state_slot_count = 12;
    limits_.prefix_caching = true;
  }

  static std::vector<std::int32_t> tokens(std::int32_t first, std::int64_t count) {
    std::vector<std::int32_t> out(static_cast<std::size_t>(count));
    std::iota(out.begin(), out.end(), first);
    return out;
  }
  static std::vector<std::int32_t> parted(std::int64_t same, std::int32_t first, std::int64_t count) {
    std::vector<std::int32_t> out = tokens(0, same), more = tokens(first, count);
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  /// Runs one request to its end; where its steps began is in `starts`.
  StreamEvent run(std::vector<std::int32_t> prompt, const std::function<void(GenerationRequest&)>& change = {}) {
    if (!scheduler_) scheduler_ = std::make_unique<Scheduler>(limits_);
    auto sequence = std::make_unique<Sequence>();
    sequence->request.prompt = std::move(prompt);
    sequence->request.max_tokens = 1;
    if (change) change(sequence->request);
    sequence->stream = std::make_shared<TokenStream>();
    const auto stream = sequence->stream;
    scheduler_->add(std::move(sequence));
    test::ScriptedRunner runner(limits_);
    starts_.clear();
    while (!scheduler_->idle()) {
      const StepPlan plan = scheduler_->plan();
      for (const Segment& segment : plan.segments) starts_.push_back(segment.start);
      copies_ = plan.slot_copies.size();
      scheduler_->commit(runner.run(plan));
    }
    return stream->poll();
  }
  PrefixStats stats() const {
    EngineStats out;
    scheduler_->report(out);
    return out.prefix;
  }
  std::int64_t misses(PrefixMiss reason) const { return stats().misses[static_cast<std::size_t>(reason)]; }

  using Starts = std::vector<std::int64_t>;
  EngineLimits limits_;
  std::unique_ptr<Scheduler> scheduler_;
  Starts starts_;
  std::size_t copies_ = 0;
};

TEST_F(PrefixKeeperTest, GoesOnFromTheEndOfAnEarlierPrompt) {
  EXPECT_EQ(run(tokens(0, 30)).cached_tokens, 0);
  EXPECT_EQ(starts_, (Starts{0}));
  EXPECT_EQ(run(tokens(0, 37)).cached_tokens, 30);
  EXPECT_EQ(starts_, (Starts{30}));
  EXPECT_EQ(stats().hits, 1);
  EXPECT_EQ(stats().cached_tokens, 30);
  EXPECT_EQ(stats().queried_tokens, 67);
}

TEST_F(PrefixKeeperTest, KeepsTheStateWhereAPromptPartsFromAnother) {
  run(tokens(0, 30));
  run(parted(21, 500, 9));
  EXPECT_EQ(starts_, (Starts{0, 21}));  // computed as far as both agree, kept, then the rest
  EXPECT_EQ(misses(PrefixMiss::kDiverged), 1);
  EXPECT_EQ(run(parted(21, 700, 9)).cached_tokens, 21);
}

TEST_F(PrefixKeeperTest, ComputesTheLastTokenOfAKnownPrompt) {
  run(tokens(0, 30));
  EXPECT_EQ(run(tokens(0, 30)).cached_tokens, 0);
  EXPECT_EQ(run(tokens(0, 30)).cached_tokens, 29);
}

TEST_F(PrefixKeeperTest, KeepsStatesWhereTheRequestSaysSo) {
  run(tokens(0, 40), [](GenerationRequest& request) { request.cache_points = {3, 17, 19, 33}; });
  EXPECT_EQ(starts_, (Starts{0, 17, 33}));  // less than a block is not worth a step
  EXPECT_EQ(run(parted(18, 500, 9)).cached_tokens, 17);
}

TEST_F(PrefixKeeperTest, KeepsStatesEverySoManyTokens) {
  limits_.prefix_interval = 16;
  run(tokens(0, 50));
  EXPECT_EQ(starts_, (Starts{0, 16, 32}));  // at 48 the end is near
  EXPECT_EQ(run(parted(33, 500, 9)).cached_tokens, 32);
}

TEST_F(PrefixKeeperTest, KeepsTheStateAtTheEndOfAnAnswer) {
  const StreamEvent answer = run(tokens(0, 30), [](GenerationRequest& request) { request.max_tokens = 9; });
  std::vector<std::int32_t> next = tokens(0, 30);
  for (const ScoredToken& token : answer.tokens) next.push_back(token.id);
  next.push_back(999);
  EXPECT_EQ(run(next).cached_tokens, 38);  // the last token was drawn, not computed
}

TEST_F(PrefixKeeperTest, SaysWhyAPromptIsComputed) {
  run(tokens(900, 4));
  EXPECT_EQ(misses(PrefixMiss::kShort), 1);
  run(tokens(0, 30));
  EXPECT_EQ(misses(PrefixMiss::kCold), 1);
  run(tokens(0, 31), [](GenerationRequest& request) { request.sampling.prompt_logprobs = 0; });
  EXPECT_EQ(misses(PrefixMiss::kScored), 1);
  for (std::int32_t i = 0; i < 14; ++i) run(tokens(100 + 40 * i, 30));
  run(tokens(0, 35));
  EXPECT_EQ(misses(PrefixMiss::kEvicted), 1);
  EXPECT_GT(stats().evictions, 0);
}

TEST_F(PrefixKeeperTest, CopiesAStateForASequenceThatGoesOnAndHandsItOverAtTheEnd) {
  run(tokens(0, 30), [](GenerationRequest& request) { request.max_tokens = 2; });
  EXPECT_EQ(copies_, 1u);  // of the prompt's end, before its slot goes on
  run(tokens(200, 30));
  EXPECT_EQ(copies_, 0u);
  EXPECT_EQ(stats().checkpoints, 2);
}

TEST_F(PrefixKeeperTest, EvictsRatherThanPreempts) {
  limits_.kv_block_count = 12;
  run(tokens(0, 20));
  run(tokens(100, 20));
  EXPECT_GT(stats().kv_blocks, 8);
  EXPECT_EQ(run(tokens(300, 30), [](GenerationRequest& request) { request.max_tokens = 16; }).tokens.size(), 16u);
  EXPECT_GT(stats().evictions, 0);
  EngineStats all;
  scheduler_->report(all);
  EXPECT_EQ(all.preemptions, 0);
}

TEST_F(PrefixKeeperTest, KeepsNothingWithoutCaching) {
  limits_.prefix_caching = false;
  run(tokens(0, 30));
  EXPECT_EQ(run(tokens(0, 37)).cached_tokens, 0);
  EXPECT_EQ(stats().checkpoints, 0);
  EXPECT_EQ(stats().queried_tokens, 0);
}

TEST_F(PrefixKeeperTest, ForgetsOnRequest) {
  run(tokens(0, 30));
  scheduler_->reset_prefix_cache();
  EXPECT_EQ(stats().kv_blocks, 0);
  EXPECT_EQ(run(tokens(0, 37)).cached_tokens, 0);
  EXPECT_EQ(misses(PrefixMiss::kCold), 2);
}

}  // namespace
}  // namespace nvllm::engine
