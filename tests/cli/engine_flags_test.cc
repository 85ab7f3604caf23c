#include "cli/engine_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "base/error.h"

namespace nvllm::cli {
namespace {

using ::testing::HasSubstr;

/// What a command with all engine flags makes of a command line.
engine::EngineOptions read(const std::string& line) {
  CLI::App app;
  EngineFlags flags;
  add_memory_flags(app, flags);
  add_batch_flags(app, flags);
  add_fusion_flags(app, flags);
  app.parse(line);
  return engine_options(flags);
}

std::string refusal(const std::string& line) {
  try {
    static_cast<void>(read(line));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage) << line;
    return error.what();
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "";
}

TEST(EngineFlags, LeaveEverythingToThePlanUnlessTold) {
  const engine::EngineOptions options = read("");
  EXPECT_EQ(options.memory_budget_bytes, 0);
  EXPECT_EQ(options.max_num_seqs, 0);
  EXPECT_EQ(options.max_model_len, 0);
  EXPECT_EQ(options.max_prefill_chunk, 0);
  EXPECT_EQ(options.leg, "default");
  EXPECT_EQ(options.fusion, "");
  EXPECT_FALSE(options.deterministic);
}

TEST(EngineFlags, BecomeOptionsUnderTheNamesOfVllm) {
  const engine::EngineOptions options =
      read("--memory-budget 1.5GiB --max-num-seqs 7 --max-model-len 99 --max-num-batched-tokens 64 "
           "--long-prefill-token-threshold 32 --prefill-activations bf16 --kv-cache-dtype auto --device cpu --threads 3 --deterministic");
  EXPECT_EQ(options.memory_budget_bytes, std::int64_t{3} << 29);
  EXPECT_EQ(options.max_num_seqs, 7);
  EXPECT_EQ(options.max_model_len, 99);
  EXPECT_EQ(options.max_num_batched_tokens, 64);
  EXPECT_EQ(options.max_prefill_chunk, 32);
  EXPECT_EQ(options.kv_cache_dtype, "auto");
  EXPECT_EQ(options.prefill_activations, "bf16");
  EXPECT_EQ(options.device, "cpu");
  EXPECT_EQ(options.thread_count, 3);
  EXPECT_TRUE(options.deterministic);
}

TEST(EngineFlags, TakeALegOrAFusionSpecButNotBoth) {
  EXPECT_EQ(read("--leg lower8").leg, "lower8");
  EXPECT_EQ(read("--fusion beta=0-7,decode=on").fusion, "beta=0-7,decode=on");
  EXPECT_THAT(refusal("--leg lower8 --fusion decode=on"), HasSubstr("--fusion"));
}

TEST(EngineFlags, RefuseByTheNameOfTheFlagOrThePiece) {
  EXPECT_THAT(refusal("--memory-budget 12parsecs"), HasSubstr("--memory-budget: '12parsecs'"));
  EXPECT_THAT(refusal("--leg nope"), HasSubstr("leg 'nope' is not known; the legs are spelled-out, lower8"));
  EXPECT_THAT(refusal("--fusion decode=on,delta=maybe"), HasSubstr("'delta=maybe'"));
  EXPECT_THAT(refusal("--max-num-seqs -1"), HasSubstr("--max-num-seqs"));
  EXPECT_THAT(refusal("--max-num-seqs many"), HasSubstr("--max-num-seqs"));
  EXPECT_THAT(refusal("--long-prefill-token-threshold -5"), HasSubstr("--long-prefill-token-threshold"));
}

}  // namespace
}  // namespace nvllm::cli
