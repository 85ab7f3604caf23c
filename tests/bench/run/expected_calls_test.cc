#include "bench/run/expected_calls.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace nvllm::bench {
namespace {

std::vector<std::int64_t> calls_of(const std::vector<std::string>& arguments) {
  std::vector<std::int64_t> counts;
  const auto demo = read_geometry(std::filesystem::path(NVLLM_SOURCE_DIR) / "models/demo");
  for (const auto& [kernel, calls] : expected_calls(plan_of(arguments), demo))
    counts.push_back(calls);
  return counts;
}

TEST(ExpectedCalls, OfTheDemoAreThoseOfItsFourAttentionLayers) {
  EXPECT_EQ(calls_of({"--leg", "lower8"}), (std::vector<std::int64_t>{2, 2, 0}));
  EXPECT_EQ(calls_of({"--leg=phaseE-off"}), (std::vector<std::int64_t>{4, 0, 4}));
  EXPECT_EQ(calls_of({"--threads", "2", "--leg", "all-beta"}),
            (std::vector<std::int64_t>{0, 4, 0}));
  EXPECT_EQ(calls_of({"--fusion", "beta=0-3,decode=on"}), (std::vector<std::int64_t>{3, 1, 0}));
}

TEST(ExpectedCalls, OfA27BModelAreThoseOfThePublishedLegs) {
  const auto model = read_geometry("synthetic:qwen3.5-27b");
  EXPECT_EQ(expected_calls(named_leg("lower8"), model)[0].second, 14);
  EXPECT_EQ(expected_calls(named_leg("lower8"), model)[1].second, 2);
  EXPECT_EQ(expected_calls(named_leg("all-beta"), model)[1].second, 4);
}

Sweep sweep_stating(const std::string& expect) {
  return parse_sweep(R"(schema = "nvllm.sweep/v1"
name = "s"
claim = "c"
[legs.a]
arguments = ["--leg", "all-beta"]
expect_kernels = )" + expect +
                         R"(
[[verdict]]
when = "true"
id = "x"
)",
                     "s.toml");
}

TEST(ExpectedCalls, KeepWhatTheFileStatesBeyondThemAndRefuseWhatContradicts) {
  const auto demo = read_geometry(std::filesystem::path(NVLLM_SOURCE_DIR) / "models/demo");
  Sweep sweep = sweep_stating("{ logits = 1, PhaseE_Beta_Kernel = 4 }");
  fill_expected_calls(sweep, demo);
  EXPECT_EQ(sweep.legs[0].expect_kernels, (StepCalls{{"DecodeKernel", 0},
                                                     {"PhaseE_Beta_Kernel", 4},
                                                     {"Phase_D_MLP_Kernel", 0},
                                                     {"logits", 1}}));
  Sweep wrong = sweep_stating("{ PhaseE_Beta_Kernel = 3 }");
  EXPECT_THROW(fill_expected_calls(wrong, demo), Error);
}

}  // namespace
}  // namespace nvllm::bench
