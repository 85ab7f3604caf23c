#include "kernels/fusion_plan.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace nvllm {
namespace {

std::vector<std::int64_t> every_fourth(std::int64_t layers) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 3; i < layers; i += 4) out.push_back(i);
  return out;
}

TEST(FusionPlan, CountsPhraseCallsOfTheThreeLegs) {
  const struct { const char* leg; std::int64_t layers, decode, beta, mlp; } cases[] = {
      {"lower8", 64, 14, 2, 0}, {"all-beta", 64, 12, 4, 0}, {"phaseE-off", 64, 16, 0, 16},
      {"lower8", 16, 2, 2, 0},  {"all-beta", 16, 0, 4, 0},  {"phaseE-off", 16, 4, 0, 4},
      {"spelled-out", 64, 0, 0, 0}};
  for (const auto& c : cases) {
    const PhraseCalls calls = phrase_calls(named_leg(c.leg), every_fourth(c.layers));
    EXPECT_EQ(calls.decode_kernel, c.decode) << c.leg << c.layers;
    EXPECT_EQ(calls.phase_e_beta, c.beta) << c.leg << c.layers;
    EXPECT_EQ(calls.phase_d_mlp, c.mlp) << c.leg << c.layers;
  }
}

TEST(FusionPlan, RefusesAnUnknownLegAndListsTheKnown) {
  try {
    named_leg("nonsense");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    for (const std::string& name : leg_names()) {
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << name;
    }
  }
}

TEST(FusionPlan, EveryListedLegExists) {
  for (const std::string& name : leg_names()) EXPECT_EQ(named_leg(name).name, name);
}

}  // namespace
}  // namespace nvllm
