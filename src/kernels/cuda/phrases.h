#pragma once

// Stretches of a layer as one launch each, for decode steps of up to kMatvecNormTokensMax rows. All CTAs of the grid stay
// resident and meet between the phases; weights of the next phase are already on their way when they do.

#include "kernels/cuda/attention.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/nvfp4_matvec.h"

struct CUstream_st;

namespace nvllm::cuda {

/// Where the CTAs of a phrase meet. One per stream.
class PhraseWorkspace {
 public:
  PhraseWorkspace() = default;
  /// Zeroed memory on the device.
  static PhraseWorkspace make();
  [[nodiscard]] unsigned* barrier() const { return barrier_.as<unsigned>(); }

 private:
  DeviceBuffer barrier_;
};

/// Norm, gate and up projection, SwiGLU, down projection, residual add: Phase_D_MLP_Kernel.
struct PhaseDCall {
  MatvecCall gate_up, down;
};
void phase_d_mlp(const PhaseDCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, const PhraseWorkspace& phrases,
                 CUstream_st* stream);

/// Whether there are kernels for the two phrases below: head_dim 256, as all of Qwen3.5 has it, on compute capability 9.0.
[[nodiscard]] bool has_attention_phrases(const AttentionGeometry& geometry, const DeviceFacts& device);

/// q/k norm, rope, KV write, attention, output gate, output projection, residual add: DecodeKernel.
struct DecodeCall {
  AttentionArguments attention;
  MatvecCall project;
};
void decode_kernel(const DecodeCall& call, const AttentionWorkspace& attention, const DeviceFacts& device, const MatvecWorkspace& workspace,
                   const PhraseWorkspace& phrases, CUstream_st* stream);

/// Both, as one kernel: PhaseE_Beta_Kernel.
void phase_e_beta(const DecodeCall& decode, const PhaseDCall& mlp, const AttentionWorkspace& attention, const DeviceFacts& device,
                  const MatvecWorkspace& workspace, const PhraseWorkspace& phrases, CUstream_st* stream);

}  // namespace nvllm::cuda
