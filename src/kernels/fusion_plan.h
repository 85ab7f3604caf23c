#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nvllm {

/// How a full-attention layer is spoken in decode.
enum class AttentionFusion {
  kSpelledOut,    ///< every operation its own kernel
  kDecodeKernel,  ///< q/k norm, rope, KV write, attention, gate, output projection, add: one kernel
  kPhaseEBeta,    ///< the attention phrase and the MLP phrase as one kernel
};

/// How a layer's MLP is spoken. A PhaseE_Beta layer has none of its own.
enum class MlpFusion {
  kSpelledOut,   ///< norm, gate, up, SwiGLU, down, add: six kernels
  kTwoKernels,   ///< norm + gate/up + SwiGLU, then down + add
  kPhaseD,       ///< one kernel: Phase_D_MLP_Kernel
};

/// Which phrases are spoken as one word. A leg of the bench is one of these with a name; nothing
/// else differs between legs, and no leg changes a bit of the result.
struct FusionPlan {
  std::string name = "spelled-out";
  /// Full-attention layers with a layer index in [begin, end) are PhaseE_Beta.
  std::int64_t beta_layers_begin = 0, beta_layers_end = 0;
  AttentionFusion other_attention = AttentionFusion::kSpelledOut;
  MlpFusion attention_mlp = MlpFusion::kSpelledOut;  ///< in full-attention layers that are not beta, in decode
  MlpFusion other_mlp = MlpFusion::kSpelledOut;  ///< in DeltaNet layers, and everywhere in steps with prefill rows
  bool fuse_inputs = false;  ///< input norm and q/k/v projections of attention as one kernel
  bool fuse_delta = false;   ///< DeltaNet mixing in two kernels instead of one per operation

  AttentionFusion attention(std::int64_t layer) const {
    return layer >= beta_layers_begin && layer < beta_layers_end ? AttentionFusion::kPhaseEBeta : other_attention;
  }
};

/// The named legs: spelled-out, lower8, phaseE-off, all-beta, every-beta, default.
///   Errors: Error(kUsage) listing them.
FusionPlan named_leg(std::string_view name);
/// Names that named_leg knows, in the order of a sweep.
std::vector<std::string> leg_names();

/// Reads a plan that has no name: pieces "name=value", separated by commas, in any order. What is left
/// out is spelled out.
///   beta=none|all|A-B             layers that are PhaseE_Beta, both ends included
///   decode=on|off                 DecodeKernel in the other full-attention layers
///   attention-mlp, other-mlp      spelled-out|two-kernels|phase-d
///   inputs=on|off, delta=on|off   fuse_inputs, fuse_delta
///   Errors: Error(kUsage) naming the piece, the value seen and those wanted.
FusionPlan parse_fusion(std::string_view spec);
/// The plan as parse_fusion reads it, every piece spoken.
std::string fusion_spec(const FusionPlan& plan);

/// Calls of the three named phrases in one decode step.
struct PhraseCalls {
  std::int64_t decode_kernel = 0;
  std::int64_t phase_e_beta = 0;
  std::int64_t phase_d_mlp = 0;
};
/// Counts them from the plan, the indices of the full-attention layers, and how many layers there are in all.
PhraseCalls phrase_calls(const FusionPlan& plan, const std::vector<std::int64_t>& attention_layers, std::int64_t layer_count);

}  // namespace nvllm
