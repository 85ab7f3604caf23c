#include "kernels/cuda/phrases.h"

#include <algorithm>
#include <type_traits>

#include "base/check.h"
#include "kernels/cuda/attention_phase.cuh"
#include "kernels/cuda/grid_barrier.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matvec_launch.cuh"
#include "kernels/cuda/one_row_matvec.cuh"
#include "kernels/cuda/warpgroup_matvec.cuh"

namespace nvllm::cuda {

namespace {

// Products of one row have a form of their own. Those of several by warpgroups are for compute capability 9.0, those by teams
// of warps for the others; a phrase's kernel is compiled in one of these two alone.
struct WarpgroupForm {
  using Shape = PhaseShape<8, 4, 113 * 1024>;
  static constexpr int kThreads = Shape::kThreads, kProductBytes = Shape::kSharedBytes;
  using Arguments = PhaseArguments;
  using Ring = PhaseRing;
  template <MatvecEnd kEnd>
  using Phase = WarpgroupPhase<Shape, kEnd>;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ != 900
  static constexpr bool kCompiled = false;
#else
  static constexpr bool kCompiled = true;
#endif
};

struct OneRowForm {
  static constexpr int kThreads = WarpgroupForm::kThreads, kMultiplyWarps = 12;
  static constexpr int kProductBytes = 121 * 1024;  // what is left for attention
  using Arguments = OneRowArguments;
  using Ring = OneRowRing;
  template <MatvecEnd kEnd>
  using Phase = OneRowPhase<kThreads, kMultiplyWarps, kEnd>;
  static constexpr bool kCompiled = true;
};

struct TeamForm {
  static constexpr int kThreads = kTeamThreads;
  using Arguments = MatvecArguments;
  using Ring = RingState;
  template <MatvecEnd kEnd>
  using Phase = MatvecPhase<kEnd>;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
  static constexpr bool kCompiled = false;
#else
  static constexpr bool kCompiled = true;
#endif
};

template <class Form>
struct PhaseDArguments {
  typename Form::Arguments gate_up, down;
  GridBarrier barrier;
};

template <class Form>
struct DecodeArguments {
  AttentionParameters attention;
  typename Form::Arguments project;
  GridBarrier barrier;
};

template <class Form>
struct PhaseEArguments {
  DecodeArguments<Form> decode;
  PhaseDArguments<Form> mlp;
};

constexpr int kPhraseHeadDim = 256;

/// Attention, and the output projection after it, whose first weights come meanwhile.
template <class Form, KvFormat kFormat>
__device__ __forceinline__ void run_decode(const DecodeArguments<Form>& a, std::byte* shared, typename Form::Ring& ring) {
  using Project = typename Form::template Phase<MatvecEnd::kAdd>;
  Project::make_ring(a.project, shared);
  { const Project asks(a.project, shared, ring); }
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  attention_phase<Form::kThreads, kPhraseHeadDim, kFormat>(a.attention, shared + Form::kProductBytes);
  Project project(a.project, shared, ring, /*asked=*/true);
  meet_grid(a.barrier);
  project.run();
}

template <class Form>
__device__ __forceinline__ void run_down(const PhaseDArguments<Form>& a, std::byte* shared, typename Form::Ring& ring) {
  typename Form::template Phase<MatvecEnd::kAdd> down(a.down, shared, ring);
  meet_grid(a.barrier);
  down.run();
}

}  // namespace

// Outside the unnamed namespace: profiles show the name.
template <class Form>
__global__ void __launch_bounds__(Form::kThreads, 1) Phase_D_MLP_Kernel(const __grid_constant__ PhaseDArguments<Form> a) {
  extern __shared__ __align__(1024) std::byte shared[];
  if constexpr (Form::kCompiled) {
    Form::template Phase<MatvecEnd::kSwiglu>::make_ring(a.gate_up, shared);
    typename Form::Ring ring;
    typename Form::template Phase<MatvecEnd::kSwiglu> gate_up(a.gate_up, shared, ring);
    ptx::wait_for_dependencies();
    ptx::allow_dependents();
    gate_up.run();
    run_down<Form>(a, shared, ring);
  }
}

template <class Form, KvFormat kFormat>
__global__ void __launch_bounds__(Form::kThreads, 1) DecodeKernel(const __grid_constant__ DecodeArguments<Form> a) {
  extern __shared__ __align__(1024) std::byte shared[];
  if constexpr (Form::kCompiled) {
    typename Form::Ring ring;
    run_decode<Form, kFormat>(a, shared, ring);
  }
}

template <class Form, KvFormat kFormat>
__global__ void __launch_bounds__(Form::kThreads, 1) PhaseE_Beta_Kernel(const __grid_constant__ PhaseEArguments<Form> a) {
  extern __shared__ __align__(1024) std::byte shared[];
  if constexpr (Form::kCompiled) {
    typename Form::Ring ring;
    run_decode<Form, kFormat>(a.decode, shared, ring);
    {
      typename Form::template Phase<MatvecEnd::kSwiglu> gate_up(a.mlp.gate_up, shared, ring);
      meet_grid(a.mlp.barrier);
      gate_up.run();
    }
    run_down<Form>(a.mlp, shared, ring);
  }
}

namespace {

template <class Form, KvFormat kFormat>
constexpr int kDecodeBytes = Form::kProductBytes + kAttentionSharedBytes<kPhraseHeadDim, kFormat>;

/// Calls use(format) with it as a constant.
template <class Use>
void with_format(KvFormat format, const Use& use) {
  if (format == KvFormat::kFp8) return use(std::integral_constant<KvFormat, KvFormat::kFp8>{});
  use(std::integral_constant<KvFormat, KvFormat::kBf16>{});
}

/// Column tiles of the widest row that one kernel's products take.
std::int64_t widest(std::initializer_list<const MatvecCall*> calls) {
  std::int64_t tiles = 0;
  for (const MatvecCall* call : calls) tiles = std::max(tiles, call->w->col_tiles());
  return tiles;
}

/// How one row's products share a phrase's kernel: none if they must take the way of several rows.
struct OneRowShare {
  int slots;
  OneRowMemory memory;

  OneRowShare(const MatvecCall& call, std::int64_t col_tiles, std::int64_t bytes)
      : slots(call.one_row() ? one_row_slots(OneRowForm::kMultiplyWarps, col_tiles, static_cast<int>(bytes), kSlotsMax) : 0),
        memory(OneRowForm::kMultiplyWarps, slots, static_cast<int>(col_tiles)) {}
  /// Makes a product's arguments of its call.
  [[nodiscard]] auto product(const DeviceFacts& device, const MatvecWorkspace& workspace) const {
    return [this, &device, &workspace](const MatvecCall& of) { return one_row_arguments(of, device, workspace, memory, slots); };
  }

 private:
  static constexpr int kSlotsMax = 4;
};

template <class Form, class Product>
DecodeArguments<Form> decode_arguments(const DecodeCall& call, const AttentionWorkspace& attention, const PhraseWorkspace& phrases,
                                       const Product& product) {
  return {.attention = AttentionParameters(call.attention, attention), .project = product(call.project), .barrier = {phrases.barrier()}};
}

template <class Form, class Product>
PhaseDArguments<Form> phase_d_arguments(const PhaseDCall& call, const PhraseWorkspace& phrases, const Product& product) {
  return {.gate_up = product(call.gate_up), .down = product(call.down), .barrier = {phrases.barrier()}};
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
  const auto launch = [&]<class Form>(const PhaseDArguments<Form>& a, int bytes) {
    launch_roomy<Phase_D_MLP_Kernel<Form>>(Start::kEarly, device.multiprocessors, Form::kThreads, bytes, stream, a);
  };
  const std::int64_t wide = widest({&call.gate_up, &call.down});
  if (const OneRowShare share(call.gate_up, wide, device.shared_bytes); share.slots > 0) {
    return launch(phase_d_arguments<OneRowForm>(call, phrases, share.product(device, workspace)), share.memory.bytes);
  }
  if (has_warpgroups(device)) {
    const auto product = [&](const MatvecCall& of) { return phase_arguments(of.in_company(), device, workspace); };
    return launch(phase_d_arguments<WarpgroupForm>(call, phrases, product), WarpgroupForm::kProductBytes);
  }
  const auto product = [&](const MatvecCall& of) {
    return matvec_arguments(of.in_company(), cut_matvec(of.w->row_tiles(), of.w->cols(), of.tokens, device), workspace);
  };
  const auto a = phase_d_arguments<TeamForm>(call, phrases, product);
  launch(a, std::max(matvec_shared_bytes(a.gate_up), matvec_shared_bytes(a.down)));
}

bool has_attention_phrases(const AttentionGeometry& geometry, const DeviceFacts& device) {
  // A team has fewer threads than attention's tile takes, and one row's rings no room beside it.
  return geometry.head_dim == kPhraseHeadDim && has_warpgroups(device);
}

void decode_kernel(const DecodeCall& call, const AttentionWorkspace& attention, const DeviceFacts& device, const MatvecWorkspace& workspace,
                   const PhraseWorkspace& phrases, cudaStream_t stream) {
  with_format(call.attention.format, [&](auto format) {
    const auto launch = [&]<class Form>(const DecodeArguments<Form>& a) {
      constexpr int kBytes = kDecodeBytes<Form, format()>;
      static_assert(kBytes <= 227 * 1024);
      launch_roomy<DecodeKernel<Form, format()>>(Start::kEarly, device.multiprocessors, Form::kThreads, kBytes, stream, a);
    };
    const std::int64_t wide = widest({&call.project});
    if (const OneRowShare share(call.project, wide, OneRowForm::kProductBytes); share.slots > 0) {
      return launch(decode_arguments<OneRowForm>(call, attention, phrases, share.product(device, workspace)));
    }
    const auto product = [&](const MatvecCall& of) { return phase_arguments(of.in_company(), device, workspace); };
    launch(decode_arguments<WarpgroupForm>(call, attention, phrases, product));
  });
}

void phase_e_beta(const DecodeCall& decode, const PhaseDCall& mlp, const AttentionWorkspace& attention, const DeviceFacts& device,
                  const MatvecWorkspace& workspace, const PhraseWorkspace& phrases, cudaStream_t stream) {
  with_format(decode.attention.format, [&](auto format) {
    const auto launch = [&]<class Form>(const PhaseEArguments<Form>& a) {
      constexpr int kBytes = kDecodeBytes<Form, format()>;
      launch_roomy<PhaseE_Beta_Kernel<Form, format()>>(Start::kEarly, device.multiprocessors, Form::kThreads, kBytes, stream, a);
    };
    const std::int64_t wide = widest({&decode.project, &mlp.gate_up, &mlp.down});
    if (const OneRowShare share(decode.project, wide, OneRowForm::kProductBytes); share.slots > 0) {
      const auto product = share.product(device, workspace);
      return launch(PhaseEArguments<OneRowForm>{decode_arguments<OneRowForm>(decode, attention, phrases, product),
                                                phase_d_arguments<OneRowForm>(mlp, phrases, product)});
    }
    const auto product = [&](const MatvecCall& of) { return phase_arguments(of.in_company(), device, workspace); };
    launch(PhaseEArguments<WarpgroupForm>{decode_arguments<WarpgroupForm>(decode, attention, phrases, product),
                                          phase_d_arguments<WarpgroupForm>(mlp, phrases, product)});
  });
}

}  // namespace nvllm::cuda
