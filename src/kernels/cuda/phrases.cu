#include "kernels/cuda/phrases.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/attention_phase.cuh"
#include "kernels/cuda/grid_barrier.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matvec_launch.cuh"

namespace nvllm::cuda {

namespace {

// The form for large shared memory is for compute capability 9.0, the other for 12.1; neither is compiled for both.
template <int kTeams>
__device__ constexpr bool is_for_this_target() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1200
  return kTeams == kSmallTeams;
#else
  return kTeams == kLargeTeams;
#endif
}

struct PhaseDArguments {
  MatvecArguments gate_up, down;
  GridBarrier barrier;
};

struct DecodeArguments {
  AttentionParameters attention;
  MatvecArguments project;
  GridBarrier barrier;
};

struct PhaseEArguments {
  DecodeArguments decode;
  PhaseDArguments mlp;
};

constexpr int kPhraseHeadDim = 256;

/// Attention, and the output projection after it; the rings must have been made.
template <int kTeams, int kStages, bool kOneToken, KvFormat kFormat>
__device__ __forceinline__ void run_decode(const DecodeArguments& a, std::byte* shared, RingState& ring) {
  // Beside the rings, where x will be.
  attention_phase<kTeams * kTeamThreads, kPhraseHeadDim, kFormat>(a.attention, shared + MatvecMemory<kTeams, kStages>::kFixedBytes);
  MatvecPhase<kTeams, kStages, MatvecEnd::kAdd, kOneToken> project(a.project, shared, ring);
  meet_grid(a.barrier);
  project.run();
}

template <int kTeams, int kStages, bool kOneToken>
__device__ __forceinline__ void run_down(const PhaseDArguments& a, std::byte* shared, RingState& ring) {
  MatvecPhase<kTeams, kStages, MatvecEnd::kAdd, kOneToken> down(a.down, shared, ring);
  meet_grid(a.barrier);
  down.run();
}

}  // namespace

// Outside the unnamed namespace: profiles show the name.
template <int kTeams, int kStages, bool kOneToken>
__global__ void __launch_bounds__(kTeams * kTeamThreads, 1) Phase_D_MLP_Kernel(const __grid_constant__ PhaseDArguments a) {
  extern __shared__ __align__(16) std::byte shared[];
  if constexpr (is_for_this_target<kTeams>()) {
    make_rings<kTeams, kStages>(shared);
    RingState ring;
    MatvecPhase<kTeams, kStages, MatvecEnd::kSwiglu, kOneToken> gate_up(a.gate_up, shared, ring);
    ptx::wait_for_dependencies();
    ptx::allow_dependents();
    gate_up.run();
    run_down<kTeams, kStages, kOneToken>(a, shared, ring);
  }
}

template <int kTeams, int kStages, bool kOneToken, KvFormat kFormat>
__global__ void __launch_bounds__(kTeams * kTeamThreads, 1) DecodeKernel(const __grid_constant__ DecodeArguments a) {
  extern __shared__ __align__(16) std::byte shared[];
  if constexpr (is_for_this_target<kTeams>()) {
    make_rings<kTeams, kStages>(shared);
    RingState ring;
    ptx::wait_for_dependencies();
    ptx::allow_dependents();
    run_decode<kTeams, kStages, kOneToken, kFormat>(a, shared, ring);
  }
}

template <int kTeams, int kStages, bool kOneToken, KvFormat kFormat>
__global__ void __launch_bounds__(kTeams * kTeamThreads, 1) PhaseE_Beta_Kernel(const __grid_constant__ PhaseEArguments a) {
  extern __shared__ __align__(16) std::byte shared[];
  if constexpr (is_for_this_target<kTeams>()) {
    make_rings<kTeams, kStages>(shared);
    RingState ring;
    ptx::wait_for_dependencies();
    ptx::allow_dependents();
    run_decode<kTeams, kStages, kOneToken, kFormat>(a.decode, shared, ring);
    {
      MatvecPhase<kTeams, kStages, MatvecEnd::kSwiglu, kOneToken> gate_up(a.mlp.gate_up, shared, ring);
      meet_grid(a.mlp.barrier);
      gate_up.run();
    }
    run_down<kTeams, kStages, kOneToken>(a.mlp, shared, ring);
  }
}

namespace {

template <int kStages, int kTeams, KvFormat kFormat>
int decode_shared_bytes(const DecodeArguments& a) {
  const int attention = MatvecMemory<kTeams, kStages>::kFixedBytes + kAttentionSharedBytes<kPhraseHeadDim, kFormat>;
  return std::max(attention, matvec_shared_bytes<kTeams, kStages>(a.project));
}

template <bool kOneToken, KvFormat kFormat>
void launch_decode(const DecodeArguments& a, const DeviceFacts& device, cudaStream_t stream) {
  auto* const kernel = DecodeKernel<kLargeTeams, kLargeStages, kOneToken, kFormat>;
  static const bool allowed = allow_shared_memory(kernel);
  NVLLM_CHECK(allowed);
  launch_early(kernel, device.multiprocessors, kLargeTeams * kTeamThreads, decode_shared_bytes<kLargeStages, kLargeTeams, kFormat>(a), stream, a);
}

template <bool kOneToken, KvFormat kFormat>
void launch_phase_e(const PhaseEArguments& a, const DeviceFacts& device, cudaStream_t stream) {
  auto* const kernel = PhaseE_Beta_Kernel<kLargeTeams, kLargeStages, kOneToken, kFormat>;
  static const bool allowed = allow_shared_memory(kernel);
  NVLLM_CHECK(allowed);
  const int bytes = std::max({decode_shared_bytes<kLargeStages, kLargeTeams, kFormat>(a.decode),
                              matvec_shared_bytes<kLargeTeams, kLargeStages>(a.mlp.gate_up),
                              matvec_shared_bytes<kLargeTeams, kLargeStages>(a.mlp.down)});
  launch_early(kernel, device.multiprocessors, kLargeTeams * kTeamThreads, bytes, stream, a);
}

MatvecArguments arguments_of(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace) {
  return matvec_arguments(call, cut_matvec(call.w->row_tiles(), call.w->cols(), call.tokens, device), workspace);
}

DecodeArguments decode_arguments(const DecodeCall& call, const AttentionWorkspace& attention, const DeviceFacts& device,
                                 const MatvecWorkspace& workspace, const PhraseWorkspace& phrases) {
  return {.attention = AttentionParameters(call.attention, attention), .project = arguments_of(call.project, device, workspace),
          .barrier = {phrases.barrier()}};
}

template <int kTeams, int kStages, bool kOneToken>
void launch_phase_d(const PhaseDArguments& arguments, const DeviceFacts& device, cudaStream_t stream) {
  auto* const kernel = Phase_D_MLP_Kernel<kTeams, kStages, kOneToken>;
  static const bool allowed = allow_shared_memory(kernel);
  NVLLM_CHECK(allowed);
  const int bytes = std::max(matvec_shared_bytes<kTeams, kStages>(arguments.gate_up), matvec_shared_bytes<kTeams, kStages>(arguments.down));
  launch_early(kernel, device.multiprocessors, kTeams * kTeamThreads, bytes, stream, arguments);
}

}  // namespace

PhraseWorkspace PhraseWorkspace::make() {
  PhraseWorkspace out;
  out.barrier_ = DeviceBuffer(2 * static_cast<std::int64_t>(sizeof(unsigned)));
  out.barrier_.fill(0);
  return out;
}

void phase_d_mlp(const PhaseDCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, const PhraseWorkspace& phrases,
                 cudaStream_t stream) {
  const PhaseDArguments arguments{.gate_up = arguments_of(call.gate_up, device, workspace),
                                  .down = arguments_of(call.down, device, workspace),
                                  .barrier = {phrases.barrier()}};
  const bool one = call.gate_up.tokens == 1;
  if (matvec_threads(device) == kLargeTeams * kTeamThreads) {
    return one ? launch_phase_d<kLargeTeams, kLargeStages, true>(arguments, device, stream)
               : launch_phase_d<kLargeTeams, kLargeStages, false>(arguments, device, stream);
  }
  return one ? launch_phase_d<kSmallTeams, kSmallStages, true>(arguments, device, stream)
             : launch_phase_d<kSmallTeams, kSmallStages, false>(arguments, device, stream);
}

bool has_attention_phrases(const AttentionGeometry& geometry, const DeviceFacts& device) {
  // The small form has fewer threads than attention's tile takes.
  return geometry.head_dim == kPhraseHeadDim && matvec_threads(device) == kLargeTeams * kTeamThreads;
}

void decode_kernel(const DecodeCall& call, const AttentionWorkspace& attention, const DeviceFacts& device, const MatvecWorkspace& workspace,
                   const PhraseWorkspace& phrases, cudaStream_t stream) {
  const DecodeArguments a = decode_arguments(call, attention, device, workspace, phrases);
  const bool one = call.project.tokens == 1;
  if (call.attention.format == KvFormat::kFp8) {
    return one ? launch_decode<true, KvFormat::kFp8>(a, device, stream) : launch_decode<false, KvFormat::kFp8>(a, device, stream);
  }
  return one ? launch_decode<true, KvFormat::kBf16>(a, device, stream) : launch_decode<false, KvFormat::kBf16>(a, device, stream);
}

void phase_e_beta(const DecodeCall& decode, const PhaseDCall& mlp, const AttentionWorkspace& attention, const DeviceFacts& device,
                  const MatvecWorkspace& workspace, const PhraseWorkspace& phrases, cudaStream_t stream) {
  const PhaseEArguments a{.decode = decode_arguments(decode, attention, device, workspace, phrases),
                          .mlp = {.gate_up = arguments_of(mlp.gate_up, device, workspace),
                                  .down = arguments_of(mlp.down, device, workspace),
                                  .barrier = {phrases.barrier()}}};
  const bool one = decode.project.tokens == 1;
  if (decode.attention.format == KvFormat::kFp8) {
    return one ? launch_phase_e<true, KvFormat::kFp8>(a, device, stream) : launch_phase_e<false, KvFormat::kFp8>(a, device, stream);
  }
  return one ? launch_phase_e<true, KvFormat::kBf16>(a, device, stream) : launch_phase_e<false, KvFormat::kBf16>(a, device, stream);
}

}  // namespace nvllm::cuda
