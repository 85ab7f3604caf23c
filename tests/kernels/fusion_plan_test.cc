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

TEST(FusionPlan, CountsPhraseCallsOfTheLegs) {
  const struct { const char* leg; std::int64_t layers, decode, beta, mlp; } cases[] = {
      {"lower8", 64, 14, 2, 0}, {"all-beta", 64, 12, 4, 0}, {"phaseE-off", 64, 16, 0, 16},
      {"lower8", 16, 2, 2, 0},  {"all-beta", 16, 0, 4, 0},  {"phaseE-off", 16, 4, 0, 4},
      {"spelled-out", 64, 0, 0, 0}, {"default", 64, 0, 16, 48}, {"default", 16, 0, 4, 12}};
  for (const auto& c : cases) {
    const PhraseCalls calls = phrase_calls(named_leg(c.leg), every_fourth(c.layers), c.layers);
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

bool same_plan(const FusionPlan& a, const FusionPlan& b) { return fusion_spec(a) == fusion_spec(b); }

TEST(FusionSpec, ExpressesEveryLeg) {
  for (const std::string& name : leg_names()) {
    const FusionPlan leg = named_leg(name), read = parse_fusion(fusion_spec(leg));
    EXPECT_EQ(read.beta_layers_begin, leg.beta_layers_begin) << name;
    EXPECT_EQ(read.beta_layers_end, leg.beta_layers_end) << name;
    EXPECT_EQ(read.other_attention, leg.other_attention) << name;
    EXPECT_EQ(read.attention_mlp, leg.attention_mlp) << name;
    EXPECT_EQ(read.other_mlp, leg.other_mlp) << name;
    EXPECT_EQ(read.fuse_inputs, leg.fuse_inputs) << name;
    EXPECT_EQ(read.fuse_delta, leg.fuse_delta) << name;
  }
}

TEST(FusionSpec, ReadsPiecesInAnyOrderAndSpellsOutTheRest) {
  const FusionPlan plan = parse_fusion("decode=on,beta=4-7");
  EXPECT_EQ(plan.name, "decode=on,beta=4-7");
  EXPECT_EQ(fusion_spec(plan),
            "beta=4-7,decode=on,attention-mlp=spelled-out,other-mlp=spelled-out,inputs=off,delta=off");
  EXPECT_EQ(plan.attention(3), AttentionFusion::kDecodeKernel);
  EXPECT_EQ(plan.attention(4), AttentionFusion::kPhaseEBeta);
  EXPECT_EQ(plan.attention(7), AttentionFusion::kPhaseEBeta);
  EXPECT_EQ(plan.attention(8), AttentionFusion::kDecodeKernel);
  EXPECT_TRUE(same_plan(parse_fusion("beta=none"), FusionPlan{}));
}

TEST(FusionSpec, ARefusalNamesThePieceTheValueAndWhatIsWanted) {
  const struct { const char* spec; std::vector<const char*> words; } cases[] = {
      {"", {"''", "name=value"}},
      {"beta", {"'beta'", "name=value"}},
      {"beta=0-7,", {"''", "name=value"}},
      {"beta=0-7,,decode=on", {"''", "name=value"}},
      {"gamma=on", {"'gamma=on'", "beta, decode, attention-mlp, other-mlp, inputs, delta"}},
      {"decode=yes", {"'decode=yes'", "on, off"}},
      {"inputs=ON", {"'inputs=ON'", "on, off"}},
      {"decode=on,other-mlp=one", {"'other-mlp=one'", "spelled-out, two-kernels, phase-d"}},
      {"decode=on,decode=off", {"'decode=off'", "given before"}},
      {"beta=7-0", {"'beta=7-0'", "lower one first"}},
      {"beta=7", {"'beta=7'", "0-7"}},
      {"beta=-1-7", {"'beta=-1-7'", "0-7"}},
      {"beta=0-7x", {"'beta=0-7x'", "0-7"}},
      {"beta=0-99999999999999999999", {"'beta=0-99999999999999999999'", "0-7"}},
      {"beta= 0-7", {"'beta= 0-7'", "0-7"}}};
  for (const auto& c : cases) {
    try {
      static_cast<void>(parse_fusion(c.spec));
      ADD_FAILURE() << c.spec;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage) << c.spec;
      const std::string message = error.what();
      for (const char* word : c.words) EXPECT_NE(message.find(word), std::string::npos) << message;
    }
  }
}

}  // namespace
}  // namespace nvllm
