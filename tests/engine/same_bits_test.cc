// Same request, same bits: hashes of the raw logits of every step must not depend on company,
// chunking, pre-emption, slot, leg, worker count or what memory held before. No retries.

#include <gtest/gtest.h>

#include "support/model_trace.h"

namespace nvllm::test {
namespace {

using engine::EngineOptions;

/// Thirteen boundary lengths, then enough short ones that a batch of 64 is really one.
std::vector<TraceRequest> requests() {
  std::vector<TraceRequest> out = boundary_requests(tiny_hybrid().config().vocab_size, 7);
  for (std::uint64_t i = 0; i < 60; ++i) {
    std::vector<TraceRequest> more = boundary_requests(tiny_hybrid().config().vocab_size, 100 + i);
    out.push_back(std::move(more[3 + i % 4]));
  }
  return out;
}

TraceHashes trace(const EngineOptions& options, const std::vector<TraceRequest>& wanted) {
  return Tracer(engine::make_cpu_runner(tiny_hybrid(), options)).run(wanted);
}

/// Every request on its own engine state: one sequence at a time, the whole prompt in one step.
const TraceHashes& alone() {
  static const TraceHashes hashes = trace(tiny_options(1, 0), requests());
  return hashes;
}

class SameBits : public testing::TestWithParam<std::tuple<std::int64_t, std::int64_t>> {};

TEST_P(SameBits, InAnyBatchAndChunking) {
  const auto [sequences, chunk] = GetParam();
  std::vector<TraceRequest> wanted = requests();
  for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i].arrival_step = static_cast<std::int64_t>(i % 5);
  std::stable_sort(wanted.begin(), wanted.end(),
                   [](const TraceRequest& a, const TraceRequest& b) { return a.arrival_step < b.arrival_step; });
  EXPECT_EQ(trace(tiny_options(sequences, chunk), wanted), alone());
}

INSTANTIATE_TEST_SUITE_P(Grid, SameBits,
                         testing::Combine(testing::Values(1, 3, 17, 64), testing::Values(1, 7, 64, 0)));

TEST(SameBitsForEvery, Leg) {
  for (const std::string& leg : leg_names()) {
    EngineOptions options = tiny_options(17, 0);
    options.leg = leg;
    EXPECT_EQ(trace(options, requests()), alone()) << leg;
  }
}

TEST(SameBitsForEvery, FusionThatIsNoLeg) {
  EngineOptions options = tiny_options(17, 0);
  options.fusion = "beta=3-3,attention-mlp=phase-d,other-mlp=two-kernels,delta=on";
  EXPECT_EQ(trace(options, requests()), alone());
}

TEST(SameBitsForEvery, WorkerCount) {
  for (const std::int64_t threads : {1, 3}) {
    EngineOptions options = tiny_options(17, 0);
    options.thread_count = threads;
    EXPECT_EQ(trace(options, requests()), alone()) << threads;
  }
}

TEST(SameBitsAfter, Preemption) {
  EngineOptions options = tiny_options(17, 0);
  options.max_model_len = 128;
  options.kv_block_count = 14;  // the boundary lengths alone want 35 and more
  Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), options));
  std::vector<TraceRequest> wanted = requests();
  for (TraceRequest& request : wanted) request.max_tokens = 20;
  EngineOptions roomy = tiny_options(1, 0);
  const TraceHashes expected = trace(roomy, wanted);
  EXPECT_EQ(tracer.run(wanted), expected);
  EXPECT_GT(tracer.stats().preemptions, 0);
}

TEST(SameBitsInAny, SlotAndBlockOrder) {
  Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), tiny_options(5, 0)));
  std::vector<TraceRequest> wanted = requests();
  const TraceHashes first = tracer.run(wanted);
  std::reverse(wanted.begin(), wanted.end());  // other slots, other blocks, used memory
  EXPECT_EQ(tracer.run(wanted), first);
  EXPECT_EQ(first, alone());
}

/// Fills every slot and block that no sequence of the step owns, the unused tails of owned blocks,
/// and all activations.
void poison_unowned(engine::ModelRunner<CpuOps>& runner, const engine::StepPlan& plan, float value) {
  const engine::EngineLimits& limits = runner.limits();
  std::vector<bool> blocks(static_cast<std::size_t>(limits.kv_block_count)), slots(static_cast<std::size_t>(limits.state_slot_count));
  for (const Segment& segment : plan.segments) {
    if (segment.start == 0) continue;  // a fresh sequence's memory is not its own yet
    for (const std::int32_t block : segment.blocks) blocks[static_cast<std::size_t>(block)] = true;
    slots[static_cast<std::size_t>(segment.slot)] = true;
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (!blocks[i]) runner.model().fill_block(static_cast<std::int64_t>(i), to_bf16(value));
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i]) runner.model().fill_slot(static_cast<std::int64_t>(i), to_bf16(value), value);
  }
  runner.model().fill_scratch(to_bf16(value));
}

TEST(SameBitsWhenMemoryHeld, NanOrHugeNumbers) {
  for (const float value : {std::nanf(""), 3e38f, -3e38f}) {
    EngineOptions options = tiny_options(5, 0);  // every running sequence is in every step
    Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), options));
    tracer.before_step = [&](const engine::StepPlan& plan) { poison_unowned(tracer.runner(), plan, value); };
    EXPECT_EQ(tracer.run(requests()), alone()) << value;
  }
}

TEST(SameBitsWhenMemoryHeld, NanOrHugeNumbersDuringPreemption) {
  EngineOptions options = tiny_options(17, 0);
  options.max_model_len = 128;
  options.kv_block_count = 14;
  Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), options));
  tracer.before_step = [&](const engine::StepPlan& plan) { poison_unowned(tracer.runner(), plan, std::nanf("")); };
  EXPECT_EQ(tracer.run(requests()), alone());
}

TEST(NegativeControl, PoisonInAnOwnedSlotOrBlockIsSeen) {
  // The instrument must be able to fail: the same poison where it may not be changes the bits.
  for (const bool slot : {true, false}) {
    Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), tiny_options(5, 0)));
    tracer.before_step = [&](const engine::StepPlan& plan) {
      const Segment& segment = plan.segments.front();
      if (segment.start == 0) return;
      if (slot) tracer.runner().model().fill_slot(segment.slot, to_bf16(0.5f), 0.5f);
      if (!slot) tracer.runner().model().fill_block(segment.blocks.front(), to_bf16(0.5f));
    };
    EXPECT_NE(tracer.run(requests()), alone());
  }
}

TEST(NegativeControl, AnotherPromptGivesOtherHashes) {
  std::vector<TraceRequest> wanted = requests();
  wanted.back().prompt.back() ^= 1;
  EXPECT_NE(trace(tiny_options(1, 0), wanted), alone());
}

void continue_in_a_foreign_slot() {
  Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), tiny_options(2, 0)));
  tracer.run({requests()[3]});
  const std::vector<std::int32_t> blocks = {0};
  engine::StepPlan plan;
  plan.ids = {5};
  plan.segments = {{.first_row = 0, .token_count = 1, .start = 4, .slot = 0, .slot_epoch = 99, .blocks = blocks}};
  tracer.runner().run(plan);
}

TEST(StateTenancyDeathTest, ContinuingInAnotherTenantsSlotAborts) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(continue_in_a_foreign_slot(), "check failed");
}

}  // namespace
}  // namespace nvllm::test
