#include "kernels/cuda/phrases.h"

#include <algorithm>
#include <type_traits>

#include "base/check.h"
#include "kernels/cuda/attention_phase.cuh"
#include "kernels/cuda/grid_barrier.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matvec_launch.cuh"
#include "kernels/cuda/warpgroup_matvec.cuh"

namespace nvllm::cuda {

namespace {

// Products by warpgroups are for compute capability 9.0, those by teams of warps for the others; a phrase's kernel
// is compiled in one of the forms alone.
struct WarpgroupForm {
  using Shape = PhaseShape<8, 4, 113 * 1024>;
  static constexpr int kThreads = Shape::kThreads, kProductBytes = Shape::kSharedBytes;
  using Arguments = PhaseArguments;
  using Ring = PhaseRing;
  template <MatvecEnd kEnd, bool kOneToken>
  using Phase = WarpgroupPhase<Shape, kOneToken, kEnd>;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ != 900
  static constexpr bool kCompiled = false;
#else
  static constexpr bool kCompiled = true;
#endif
  template <bool kOneToken>
  __device__ __forceinline__ static void make(std::byte* shared) {
    make_ring<Shape, kOneToken>(shared);
  }
  static Arguments arguments(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace) {
    return phase_arguments(call, device, workspace);
  }
  static int shared_bytes(const Arguments& /*a*/) { return kProductBytes; }
};

struct TeamForm {
  static constexpr int kThreads = kTeamThreads;
  using Arguments = MatvecArguments;
  using Ring = RingState;
  template <MatvecEnd kEnd, bool kOneToken>
  using Phase = MatvecPhase<kEnd, kOneToken>;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
  static constexpr bool kCompiled = false;
#else
  static constexpr bool kCompiled = true;
#endif
  template <bool kOneToken>
  __device__ __forceinline__ static void make(std::byte* shared) {
    make_rings(shared);
  }
  static Arguments arguments(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace) {
    return matvec_arguments(call, cut_matvec(call.w->row_tiles(), call.w->cols(), call.tokens, device), workspace);
  }
  static int shared_bytes(const Arguments& a) { return matvec_shared_bytes(a); }
};

template <class Form>
struct PhaseDArguments {
  typename Form::Arguments gate_up, down;
  GridBarrier barrier;
};

struct DecodeArguments {
  AttentionParameters attention;
  PhaseArguments project;
  GridBarrier barrier;
};

struct PhaseEArguments {
  DecodeArguments decode;
  PhaseDArguments<WarpgroupForm> mlp;
};

constexpr int kPhraseHeadDim = 256;

/// Attention, and the output projection after it; the ring must have been made.
template <bool kOneToken, KvFormat kFormat>
__device__ __forceinline__ void run_decode(const DecodeArguments& a, std::byte* shared, PhaseRing& ring) {
  attention_phase<WarpgroupForm::kThreads, kPhraseHeadDim, kFormat>(a.attention, shared + WarpgroupForm::kProductBytes);
  WarpgroupForm::Phase<MatvecEnd::kAdd, kOneToken> project(a.project, shared, ring);
  meet_grid(a.barrier);
  project.run();
}

template <class Form, bool kOneToken>
__device__ __forceinline__ void run_down(const PhaseDArguments<Form>& a, std::byte* shared, typename Form::Ring& ring) {
  typename Form::template Phase<MatvecEnd::kAdd, kOneToken> down(a.down, shared, ring);
  meet_grid(a.barrier);
  down.run();
}

}  // namespace

// Outside the unnamed namespace: profiles show the name.
template <class Form, bool kOneToken>
__global__ void __launch_bounds__(Form::kThreads, 1) Phase_D_MLP_Kernel(const __grid_constant__ PhaseDArguments<Form> a) {
  extern __shared__ __align__(1024) std::byte shared[];
  if constexpr (Form::kCompiled) {
    Form::template make<kOneToken>(shared);
    typename Form::Ring ring;
    typename Form::template Phase<MatvecEnd::kSwiglu, kOneToken> gate_up(a.gate_up, shared, ring);
    ptx::wait_for_dependencies();
    ptx::allow_dependents();
    gate_up.run();
    run_down<Form, kOneToken>(a, shared, ring);
  }
}

template <bool kOneToken, KvFormat kFormat>
__global__ void __launch_bounds__(WarpgroupForm::kThreads, 1) DecodeKernel(const __grid_constant__ DecodeArguments a) {
  extern __shared__ __align__(1024) std::byte shared[];
  if constexpr (WarpgroupForm::kCompiled) {
    WarpgroupForm::make<kOneToken>(shared);
    PhaseRing ring;
    ptx::wait_for_dependencies();
    ptx::allow_dependents();
    run_decode<kOneToken, kFormat>(a, shared, ring);
  }
}

template <bool kOneToken, KvFormat kFormat>
__global__ void __launch_bounds__(WarpgroupForm::kThreads, 1) PhaseE_Beta_Kernel(const __grid_constant__ PhaseEArguments a) {
  extern __shared__ __align__(1024) std::byte shared[];
  if constexpr (WarpgroupForm::kCompiled) {
    WarpgroupForm::make<kOneToken>(shared);
    PhaseRing ring;
    ptx::wait_for_dependencies();
    ptx::allow_dependents();
    run_decode<kOneToken, kFormat>(a.decode, shared, ring);
    {
      WarpgroupForm::Phase<MatvecEnd::kSwiglu, kOneToken> gate_up(a.mlp.gate_up, shared, ring);
      meet_grid(a.mlp.barrier);
      gate_up.run();
    }
    run_down<WarpgroupForm, kOneToken>(a.mlp, shared, ring);
  }
}

namespace {

template <KvFormat kFormat>
constexpr int kDecodeBytes = WarpgroupForm::kProductBytes + kAttentionSharedBytes<kPhraseHeadDim, kFormat>;

/// Calls use(one token?, format) with both as constants.
template <class Use>
void with_attention(const DecodeCall& call, const Use& use) {
  with_constant(call.project.one_row(), [&](auto one) {
    if (call.attention.format == KvFormat::kFp8) return use(one, std::integral_constant<KvFormat, KvFormat::kFp8>{});
    use(one, std::integral_constant<KvFormat, KvFormat::kBf16>{});
  });
}

DecodeArguments decode_arguments(const DecodeCall& call, const AttentionWorkspace& attention, const DeviceFacts& device,
                                 const MatvecWorkspace& workspace, const PhraseWorkspace& phrases) {
  return {.attention = AttentionParameters(call.attention, attention), .project = phase_arguments(call.project, device, workspace),
          .barrier = {phrases.barrier()}};
}

template <class Form>
PhaseDArguments<Form> phase_d_arguments(const PhaseDCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace,
                                        const PhraseWorkspace& phrases) {
  return {.gate_up = Form::arguments(call.gate_up, device, workspace), .down = Form::arguments(call.down, device, workspace),
          .barrier = {phrases.barrier()}};
}

template <class Form>
void phase_d_of(const PhaseDCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, const PhraseWorkspace& phrases,
                cudaStream_t stream) {
  const PhaseDArguments<Form> a = phase_d_arguments<Form>(call, device, workspace, phrases);
  const int bytes = std::max(Form::shared_bytes(a.gate_up), Form::shared_bytes(a.down));
  with_constant(call.gate_up.one_row(), [&](auto one) {
    launch_roomy<Phase_D_MLP_Kernel<Form, one()>>(Start::kEarly, device.multiprocessors, Form::kThreads, bytes, stream, a);
  });
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
  if (has_warpgroups(device)) return phase_d_of<WarpgroupForm>(call, device, workspace, phrases, stream);
  phase_d_of<TeamForm>(call, device, workspace, phrases, stream);
}

bool has_attention_phrases(const AttentionGeometry& geometry, const DeviceFacts& device) {
  // A team has fewer threads than attention's tile takes.
  return geometry.head_dim == kPhraseHeadDim && has_warpgroups(device);
}

void decode_kernel(const DecodeCall& call, const AttentionWorkspace& attention, const DeviceFacts& device, const MatvecWorkspace& workspace,
                   const PhraseWorkspace& phrases, cudaStream_t stream) {
  const DecodeArguments a = decode_arguments(call, attention, device, workspace, phrases);
  with_attention(call, [&](auto one, auto format) {
    constexpr int kBytes = kDecodeBytes<format()>;
    launch_roomy<DecodeKernel<one(), format()>>(Start::kEarly, device.multiprocessors, WarpgroupForm::kThreads, kBytes, stream, a);
  });
}

void phase_e_beta(const DecodeCall& decode, const PhaseDCall& mlp, const AttentionWorkspace& attention, const DeviceFacts& device,
                  const MatvecWorkspace& workspace, const PhraseWorkspace& phrases, cudaStream_t stream) {
  const PhaseEArguments a{.decode = decode_arguments(decode, attention, device, workspace, phrases),
                          .mlp = phase_d_arguments<WarpgroupForm>(mlp, device, workspace, phrases)};
  with_attention(decode, [&](auto one, auto format) {
    constexpr int kBytes = kDecodeBytes<format()>;
    launch_roomy<PhaseE_Beta_Kernel<one(), format()>>(Start::kEarly, device.multiprocessors, WarpgroupForm::kThreads, kBytes, stream, a);
  });
}

}  // namespace nvllm::cuda
