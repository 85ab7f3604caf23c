#include "kernels/cuda/phrases.h"

#include <algorithm>

#include "base/check.h"
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
    MatvecPhase<kTeams, kStages, MatvecEnd::kAdd, kOneToken> down(a.down, shared, ring);
    meet_grid(a.barrier);
    down.run();
  }
}

namespace {

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
  const MatvecCut first = cut_matvec(call.gate_up.w->row_tiles(), call.gate_up.w->cols(), call.gate_up.tokens, device);
  const MatvecCut second = cut_matvec(call.down.w->row_tiles(), call.down.w->cols(), call.down.tokens, device);
  const PhaseDArguments arguments{.gate_up = matvec_arguments(call.gate_up, first, workspace),
                                  .down = matvec_arguments(call.down, second, workspace),
                                  .barrier = {phrases.barrier()}};
  const bool one = call.gate_up.tokens == 1;
  if (first.teams == kLargeTeams) {
    return one ? launch_phase_d<kLargeTeams, kLargeStages, true>(arguments, device, stream)
               : launch_phase_d<kLargeTeams, kLargeStages, false>(arguments, device, stream);
  }
  return one ? launch_phase_d<kSmallTeams, kSmallStages, true>(arguments, device, stream)
             : launch_phase_d<kSmallTeams, kSmallStages, false>(arguments, device, stream);
}

}  // namespace nvllm::cuda
