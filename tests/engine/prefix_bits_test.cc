// What is gone on from gives the same bits as what is computed: cold, warm, and evicted and computed again; in company,
// under pre-emption, and with everything poisoned that nobody holds. Hashes of raw logits; no retries.

#include <gtest/gtest.h>

#include <cmath>

#include "support/model_trace.h"

namespace nvllm::test {
namespace {

using engine::EngineOptions;

std::vector<std::int32_t> random_tokens(std::int64_t count, std::uint64_t seed) {
  return test::random_tokens(tiny_hybrid().config().vocab_size, count, seed);
}

EngineOptions caching_options(std::int64_t sequences) {
  EngineOptions options = tiny_options(sequences, 0);
  options.prefix_caching = true;
  options.prefix_interval = 24;
  options.prefix_state_bytes = 1 << 20;
  return options;
}

std::vector<TraceRequest> family(std::uint64_t seed, std::size_t count) {
  return related_requests(tiny_hybrid().config().vocab_size, seed, count);
}

TraceHashes cold(const std::vector<TraceRequest>& requests) {
  return Tracer(engine::make_cpu_runner(tiny_hybrid(), tiny_options(1, 0))).run(requests);
}

/// Overwrites every block and slot that neither a sequence nor the cache holds, and all activations.
void poison_unheld(Tracer<engine::ModelRunner<CpuOps>>& tracer, float value) {
  auto& model = tracer.runner().model();
  const engine::EngineLimits& limits = tracer.runner().limits();
  for (std::int64_t block = 0; block < limits.kv_block_count; ++block) {
    if (tracer.scheduler().blocks().is_free(static_cast<std::int32_t>(block))) model.fill_block(block, to_bf16(value));
  }
  for (std::int64_t slot = 0; slot < limits.state_slot_count; ++slot) {
    if (tracer.scheduler().slots().is_free(static_cast<std::int32_t>(slot))) model.fill_slot(slot, to_bf16(value), value);
  }
  model.fill_scratch(to_bf16(value));
}

TEST(PrefixBits, AreTheSameColdAndWarm) {
  const std::vector<TraceRequest> requests = family(1, 40);
  const TraceHashes expected = cold(requests);
  Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), caching_options(3)));
  EXPECT_EQ(tracer.run(requests), expected);
  const engine::PrefixStats first = tracer.stats().prefix;
  EXPECT_GT(first.hits, 0);
  EXPECT_EQ(tracer.run(requests), expected);
  EXPECT_GT(tracer.stats().prefix.hits, first.hits + 20);
}

TEST(PrefixBits, AreTheSameAfterAnEviction) {
  const std::vector<TraceRequest> requests = family(2, 40);
  const TraceHashes expected = cold(requests);
  EngineOptions options = caching_options(2);
  options.prefix_state_bytes = 4 * engine::plan_cpu_memory(tiny_hybrid(), options).state_bytes_per_sequence;
  Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), options));
  for (int round = 0; round < 3; ++round) EXPECT_EQ(tracer.run(requests), expected) << round;
  EXPECT_GT(tracer.stats().prefix.evictions, 20);
  EXPECT_GT(tracer.stats().prefix.hits, 0);
  tracer.scheduler().reset_prefix_cache();
  EXPECT_EQ(tracer.run(requests), expected);
}

TEST(PrefixBits, AreTheSameInASecondTurn) {
  // The second prompt is the first, its answer and more; every length of the first around a block's end.
  for (const std::int64_t length : {15, 16, 17, 30, 31, 32, 33, 47, 48}) {
    TraceRequest first{.prompt = random_tokens(length, 3), .max_tokens = 20};
    Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), caching_options(2)));
    std::vector<std::int32_t> answer;
    tracer.after_step = [&](const engine::StepResult& result) {
      for (const engine::ScoredToken& token : result.samples) answer.push_back(token.id);
    };
    tracer.run({first});
    TraceRequest second{.prompt = joined(joined(first.prompt, answer), random_tokens(9, 4)), .max_tokens = 5};
    EXPECT_EQ(tracer.run({second}), cold({second})) << length;
    const engine::PrefixStats stats = tracer.stats().prefix;
    EXPECT_EQ(stats.hits, 1) << length;
    EXPECT_EQ(stats.cached_tokens, length + 19) << length;  // the last token of an answer is not computed
  }
}

TEST(PrefixBits, AreTheSameUnderPreemptionAndInCompany) {
  for (std::uint64_t seed = 10; seed < 14; ++seed) {
    const std::vector<TraceRequest> requests = family(seed, 60);
    const TraceHashes expected = cold(requests);
    EngineOptions options = caching_options(5);
    options.kv_block_count = 16;  // ten for the longest
    options.max_prefill_chunk = seed % 2 == 0 ? 7 : 0;
    Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), options));
    EXPECT_EQ(tracer.run(requests), expected);
    EXPECT_EQ(tracer.run(requests), expected);
    EXPECT_GT(tracer.stats().preemptions, 0);
    EXPECT_GT(tracer.stats().prefix.hits, 0);
    EXPECT_EQ(tracer.stats().kv_blocks_used, 0);
    EXPECT_EQ(tracer.stats().state_slots_used, 0);
    tracer.scheduler().reset_prefix_cache();
    EXPECT_EQ(tracer.scheduler().blocks().free(), 16);
    EXPECT_EQ(tracer.scheduler().slots().free(), tracer.scheduler().slots().total());
  }
}

TEST(PrefixBits, AreTheSameWhenWhatNobodyHoldsIsPoisoned) {
  const std::vector<TraceRequest> requests = family(5, 40);
  const TraceHashes expected = cold(requests);
  for (const float value : {std::nanf(""), 3e38f}) {
    EngineOptions options = caching_options(4);
    options.kv_block_count = 24;
    Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), options));
    tracer.between_steps = [&] { poison_unheld(tracer, value); };
    EXPECT_EQ(tracer.run(requests), expected);
    EXPECT_EQ(tracer.run(requests), expected);
    EXPECT_GT(tracer.stats().prefix.hits, 0);
  }
}

TEST(PrefixBits, ChangeWhenAKeptStateOrBlockIs) {
  // The instrument must be able to fail.
  const TraceRequest request{.prompt = random_tokens(40, 6), .max_tokens = 3};
  const TraceRequest again{.prompt = joined(request.prompt, random_tokens(5, 7)), .max_tokens = 3};
  for (const bool slot : {true, false}) {
    Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), caching_options(1)));
    tracer.run({request});
    auto& model = tracer.runner().model();
    tracer.before_step = [&](const engine::StepPlan& plan) {
      for (const engine::SlotCopy& copy : plan.slot_copies) {
        if (slot) model.fill_slot(copy.from.index, to_bf16(0.5f), 0.5f);
      }
      for (const Segment& segment : plan.segments) {
        if (!slot) model.fill_block(segment.blocks.front(), to_bf16(0.5f));
      }
    };
    EXPECT_NE(tracer.run({again}), cold({again})) << slot;
    EXPECT_EQ(tracer.stats().prefix.hits, 1);
  }
}

TEST(PrefixBits, AreNotSharedAcrossSalts) {
  const std::vector<std::int32_t> prompt = random_tokens(50, 8);
  EngineOptions options = caching_options(2);
  options.prefix_interval = 0;
  Tracer tracer(engine::make_cpu_runner(tiny_hybrid(), options));
  const auto ask = [&](const std::string& salt, std::uint64_t tail) {
    TraceRequest request{.prompt = joined(prompt, random_tokens(2, tail)), .max_tokens = 1, .arrival_step = 0, .temperature = 0, .seed = 0, .cache_salt = salt};
    tracer.run({request});
    return tracer.stats().prefix.hits;
  };
  EXPECT_EQ(ask("a", 1), 0);  // cold
  EXPECT_EQ(ask("a", 2), 0);  // parts from the first within its end: kept where they part
  EXPECT_EQ(ask("b", 3), 0);
  EXPECT_EQ(ask("a", 4), 1);
  EXPECT_EQ(ask("", 5), 1);
}

}  // namespace
}  // namespace nvllm::test
