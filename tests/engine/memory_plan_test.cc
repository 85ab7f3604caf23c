#include "engine/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/weight_names.h"
#include "engine/runner_cpu.h"
#include "kernels/cpu/packed_matrix.h"
#include "kernels/cpu/simd_target.h"
#include "support/tiny_checkpoint.h"

namespace nvllm::engine {
namespace {

using checkpoint::known_shape;
using ::testing::HasSubstr;

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

EngineOptions options_within(std::int64_t budget_bytes) {
  EngineOptions options;
  options.memory_budget_bytes = budget_bytes;
  options.thread_count = 2;
  return options;
}

std::int64_t sum_of(const MemoryPlan& plan) {
  std::int64_t sum = 0;
  for (const MemoryLine& line : plan.lines) sum += line.bytes;
  return sum;
}

std::string refusal(const checkpoint::ModelConfig& config, const EngineOptions& options) {
  try {
    static_cast<void>(plan_memory(config, {.weight_bytes = kGiB}, options));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(MemoryPlan, CountsStateAndKeysOfThePublishedGeometries) {
  const struct { const char* shape; std::int64_t state, kv; } cases[] = {
      {"qwen3.5-27b", 153'944'064, 65'536}, {"qwen3.5-0.8b", 19'537'920, 12'288}, {"llama-1b", 0, 32'768}};
  for (const auto& c : cases) {
    const MemoryPlan plan = plan_memory(known_shape(c.shape), {}, options_within(64 * kGiB));
    EXPECT_EQ(plan.state_bytes_per_sequence, c.state) << c.shape;
    EXPECT_EQ(plan.kv_bytes_per_token, c.kv) << c.shape;
  }
}

TEST(MemoryPlan, GivesThePrefixCacheAnEighthOfWhatIsLeftOrWhatIsAskedFor) {
  EngineOptions options = options_within(3 * kGiB);
  options.max_num_seqs = 16;
  options.max_model_len = 8192;
  const auto slots = [&] { return plan_memory(known_shape("qwen3.5-0.8b"), {.weight_bytes = kGiB}, options).limits.state_slot_count; };
  EXPECT_EQ(slots(), 16);
  options.prefix_caching = true;
  const std::int64_t by_default = slots();
  EXPECT_GT(by_default, 16);
  EXPECT_LT(by_default, 32);
  options.memory_budget_bytes = 64 * kGiB;
  EXPECT_EQ(slots(), 32);  // never more than as many again
  options.memory_budget_bytes = 3 * kGiB;
  options.prefix_state_bytes = 0;
  EXPECT_EQ(slots(), 16);
  options.prefix_state_bytes = 3 * 19'537'920 + 5;
  EXPECT_EQ(slots(), 16 + 3);
  options.prefix_state_bytes = 4 * kGiB;
  EXPECT_THAT(refusal(known_shape("qwen3.5-0.8b"), options), HasSubstr("states of the prefix cache"));
}

TEST(MemoryPlan, StaysWithinTheBudgetAndUsesWhatItCan) {
  EngineOptions options = options_within(3 * kGiB);
  options.max_num_seqs = 4;
  options.max_model_len = 8192;
  const MemoryPlan plan = plan_memory(known_shape("qwen3.5-0.8b"), {.weight_bytes = kGiB}, options);
  EXPECT_EQ(plan.total_bytes, sum_of(plan));
  EXPECT_LE(plan.total_bytes, plan.budget_bytes);
  EXPECT_EQ(plan.budget_bytes, 3 * kGiB);
  EXPECT_EQ(plan.requests_at(8192), 4);  // more blocks than four full sequences need are not taken
  EXPECT_EQ(plan.limits.kv_block_count, 4 * 8192 / 16);
}

TEST(MemoryPlan, CountsRequestsByWholeBlocks) {
  MemoryPlan plan;
  plan.limits.max_num_seqs = 10;
  plan.limits.kv_block_tokens = 16;
  plan.limits.kv_block_count = 7;
  EXPECT_EQ(plan.requests_at(16), 7);
  EXPECT_EQ(plan.requests_at(17), 3);  // two blocks each
  EXPECT_EQ(plan.requests_at(113), 0);
}

TEST(MemoryPlan, LowersTheNumberOfSequencesUnlessItWasAskedFor) {
  EngineOptions options = options_within(2 * kGiB);
  options.max_model_len = 1024;
  const MemoryPlan plan = plan_memory(known_shape("qwen3.5-0.8b"), {.weight_bytes = kGiB}, options);
  EXPECT_EQ(plan.limits.max_num_seqs, 32);
  options.max_num_seqs = 64;
  EXPECT_THAT(refusal(known_shape("qwen3.5-0.8b"), options), HasSubstr("recurrent state of 64 sequences"));
}

TEST(MemoryPlan, ARefusalShowsWhoWantedWhatAndWhatToChange) {
  const std::string message = refusal(known_shape("qwen3.5-0.8b"), options_within(1 << 20));
  for (const char* word : {"1.00 MiB", "weights", "activations", "logits", "recurrent state", "KV blocks", "total",
                           "--memory-budget", "--max-model-len"}) {
    EXPECT_THAT(message, HasSubstr(word));
  }
}

TEST(MemoryPlan, MoreThanTheDeviceHasFreeIsRefusedBeforeAnythingIsTaken) {
  EngineOptions options = options_within(64 * kGiB);
  BackendSizes sizes{.weight_bytes = kGiB};
  const std::int64_t wanted = plan_memory(known_shape("qwen3.5-0.8b"), sizes, options).total_bytes;
  sizes.free_bytes = wanted;
  EXPECT_EQ(plan_memory(known_shape("qwen3.5-0.8b"), sizes, options).total_bytes, wanted);
  sizes.free_bytes = wanted - 1;
  try {
    static_cast<void>(plan_memory(known_shape("qwen3.5-0.8b"), sizes, options));
    FAIL() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfBudget);
    for (const char* word : {"64.0 GiB", "weights", "KV blocks", "total", "--memory-budget", "--device cpu"}) {
      EXPECT_THAT(error.what(), HasSubstr(word));
    }
  }
}

TEST(MemoryPlan, DescribesItselfDownToShortContextsAndForAShortOneOnly) {
  EngineOptions options = options_within(8 * kGiB);
  options.max_num_seqs = 4;
  options.max_model_len = 8192;
  const auto rows = plan_memory(known_shape("qwen3.5-0.8b"), {.weight_bytes = kGiB}, options).describe();
  EXPECT_THAT(rows.front(), HasSubstr("weights"));
  EXPECT_EQ(rows.back(), "  4 requests at context 512");
  options.max_model_len = 100;
  EXPECT_EQ(plan_memory(known_shape("qwen3.5-0.8b"), {}, options).describe().back(), "  4 requests at context 100");
}

/// The plan's first line against what packing really takes.
TEST(MemoryPlan, CountsEveryWeightOnceAfterPacking) {
  for (const auto format : {nvllm::testing::TinyFormat::kNvfp4, nvllm::testing::TinyFormat::kBf16}) {
    for (const char* shape : {"tiny-hybrid", "tiny-llama"}) {
      const nvllm::testing::TinyCheckpoint folder(shape, format);
      const auto files = checkpoint::Checkpoint::open(folder.folder());
      std::int64_t packed = 0;
      for (const checkpoint::WeightSpec& spec : checkpoint::required_weights(files.config())) {
        if (spec.name.starts_with("mtp.")) continue;
        if (spec.role == checkpoint::WeightSpec::Role::kMatrix) {
          packed += cpu::pack_matrix(files.matrix(spec.name), cpu::simd_target()).bytes();
        } else {
          packed += 4 * static_cast<std::int64_t>(files.vector(spec.name).size());
        }
      }
      EXPECT_EQ(plan_cpu_memory(files, options_within(kGiB)).lines.front().bytes, packed) << shape;
    }
  }
}

TEST(MemoryPlan, ScratchForScoresFollowsTheContextThatWasSettled) {
  // The length is left to the plan here: what it settles on is what must be counted.
  const auto files = checkpoint::Checkpoint::open("synthetic:tiny-hybrid");
  EngineOptions asked = options_within(kGiB);
  const MemoryPlan settled = plan_cpu_memory(files, asked);
  asked.max_model_len = settled.limits.max_model_len;
  EXPECT_EQ(plan_cpu_memory(files, asked).total_bytes, settled.total_bytes);
}

TEST(PlanEngine, IsWhatTheCommandLineShowsWithoutReadingWeights) {
  const EngineOptions options = options_within(kGiB);
  const auto files = checkpoint::Checkpoint::open("synthetic:tiny-hybrid");
  EXPECT_EQ(plan_engine("synthetic:tiny-hybrid", options).describe(), plan_cpu_memory(files, options).describe());
}

std::string plan_refusal(const EngineOptions& options) {
  try {
    static_cast<void>(plan_engine("synthetic:tiny-hybrid", options));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(PlanEngine, RefusesByTheNamesOfTheFlags) {
  EngineOptions options = options_within(kGiB);
  options.max_prefill_chunk = 1 << 20;
  EXPECT_THAT(plan_refusal(options), HasSubstr("--long-prefill-token-threshold: 1048576"));
  options = options_within(kGiB);
  options.kv_cache_dtype = "fp8_e4m3";
  EXPECT_THAT(plan_refusal(options), HasSubstr("--kv-cache-dtype 'fp8_e4m3' is not supported"));
  EXPECT_THAT(plan_refusal(options), HasSubstr("give auto or bf16"));
  options = options_within(kGiB);
  options.prefill_activations = "nvfp4";
  EXPECT_THAT(plan_refusal(options), HasSubstr("--prefill-activations 'nvfp4' is not supported"));
  options = options_within(kGiB);
  options.fusion = "decode=maybe";
  EXPECT_THAT(plan_refusal(options), HasSubstr("'decode=maybe'"));
  options.fusion = "decode=on";
  EXPECT_EQ(plan_engine("synthetic:tiny-hybrid", options).limits.leg, "decode=on");
}

}  // namespace
}  // namespace nvllm::engine
