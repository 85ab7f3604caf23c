#include "kernels/fusion_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "base/error.h"

namespace nvllm {

namespace {

FusionPlan fused(std::string name, std::int64_t beta_layers_end, MlpFusion attention_mlp) {
  return {.name = std::move(name),
          .beta_layers_end = beta_layers_end,
          .other_attention = AttentionFusion::kDecodeKernel,
          .attention_mlp = attention_mlp,
          .delta_mlp = MlpFusion::kTwoKernels,
          .fuse_inputs = true,
          .fuse_delta = true};
}

}  // namespace

std::vector<std::string> leg_names() {
  return {"spelled-out", "lower8", "phaseE-off", "all-beta", "every-beta", "default"};
}

FusionPlan named_leg(std::string_view name) {
  constexpr std::int64_t kEveryLayer = std::numeric_limits<std::int64_t>::max();
  if (name == "spelled-out") return {};
  if (name == "lower8") return fused("lower8", 8, MlpFusion::kTwoKernels);
  if (name == "phaseE-off") return fused("phaseE-off", 0, MlpFusion::kPhaseD);
  if (name == "all-beta") return fused("all-beta", 16, MlpFusion::kTwoKernels);
  if (name == "every-beta") return fused("every-beta", kEveryLayer, MlpFusion::kTwoKernels);
  if (name == "default") {
    FusionPlan plan = fused("default", kEveryLayer, MlpFusion::kPhaseD);
    plan.delta_mlp = MlpFusion::kPhaseD;
    return plan;
  }
  throw Error(ErrorKind::kUsage, fmt::format("leg '{}' is not known; the legs are {}", name,
                                             fmt::join(leg_names(), ", ")));
}

PhraseCalls phrase_calls(const FusionPlan& plan, const std::vector<std::int64_t>& attention_layers) {
  PhraseCalls calls;
  for (const std::int64_t layer : attention_layers) {
    switch (plan.attention(layer)) {
      case AttentionFusion::kSpelledOut: break;
      case AttentionFusion::kPhaseEBeta: ++calls.phase_e_beta; continue;
      case AttentionFusion::kDecodeKernel: ++calls.decode_kernel; break;
    }
    if (plan.attention_mlp == MlpFusion::kPhaseD) ++calls.phase_d_mlp;
  }
  return calls;
}

}  // namespace nvllm
