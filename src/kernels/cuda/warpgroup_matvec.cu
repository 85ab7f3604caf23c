// The NVFP4 product by warpgroup instructions as a kernel of its own.

#include "kernels/cuda/warpgroup_matvec.cuh"

#include <algorithm>
#include <type_traits>

#include "base/check.h"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/launch.cuh"

namespace nvllm::cuda {

namespace {

template <class Shape, MatvecEnd kEnd>
__device__ __forceinline__ void run_product(const PhaseArguments& a) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) std::byte shared[];
  ptx::allow_dependents();  // at once: there may be room for the next product's CTA beside this one's
  using Phase = WarpgroupPhase<Shape, kEnd>;
  Phase::make_ring(a, shared);
  PhaseRing ring;
  Phase phase(a, shared, ring);
  ptx::wait_for_dependencies();
  phase.run();
#endif
}

template <MatvecEnd kEnd>
using SharedShape = std::conditional_t<kEnd == MatvecEnd::kAdd, AddingShape, NormingShape>;

/// Up to eight tokens.
template <MatvecEnd kEnd>
__global__ void __maxnreg__(kSharedPhaseRegisters) few_rows_kernel(const __grid_constant__ PhaseArguments a) {
  run_product<SharedShape<kEnd>, kEnd>(a);
}

template <int kTokens, MatvecEnd kEnd>
__global__ void __launch_bounds__(WideShape<kTokens>::kThreads, 1) more_rows_kernel(const __grid_constant__ PhaseArguments a) {
  run_product<WideShape<kTokens>, kEnd>(a);
}

template <MatvecEnd kEnd>
void launch_few(Start start, const PhaseArguments& a, cudaStream_t stream) {
  using Shape = SharedShape<kEnd>;
  launch_roomy<few_rows_kernel<kEnd>>(start, a.ctas, Shape::kThreads, Shape::kSharedBytes, stream, a);
}

template <MatvecEnd kEnd, int kTokens>
void launch_more(Start start, const PhaseArguments& a, cudaStream_t stream) {
  using Shape = WideShape<kTokens>;
  launch_roomy<more_rows_kernel<kTokens, kEnd>>(start, a.ctas, Shape::kThreads, Shape::kSharedBytes, stream, a);
}

std::int64_t steps_of(const Nvfp4DeviceMatrix& w) { return (w.row_tiles() + kBlockTiles - 1) / kBlockTiles * w.col_tiles(); }

}  // namespace

MatvecNeeds warpgroup_matvec_needs(const DeviceFacts& device) {
  constexpr std::int64_t kPieceBytes = kMatvecTokensMax / 8 * kConsumerWarps * 32 * static_cast<std::int64_t>(sizeof(float4));
  return {.partial_bytes = 2 * device.multiprocessors * kPieceBytes,
          .arrivals = std::int64_t{device.multiprocessors} * kConsumerWarps};
}

std::int64_t warpgroup_matvec_ctas(const Nvfp4DeviceMatrix& w, const DeviceFacts& device) {
  return std::min<std::int64_t>(device.multiprocessors, steps_of(w));
}

PhaseArguments phase_arguments(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace) {
  auto a = common_arguments<PhaseArguments>(call, workspace);
  share_steps(a, static_cast<int>(steps_of(*call.w)), device.multiprocessors);
  a.by_col_tiles = Divisor(a.col_tiles);
  NVLLM_CHECK(call.dense[0].rows + call.dense[1].rows <= a.ctas);
  return a;
}

void warpgroup_matvec(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, cudaStream_t stream) {
  const PhaseArguments a = phase_arguments(call, device, workspace);
  const Start start = start_of(call);
  with_end(call.end, [&](auto end) {
    if (a.tokens <= 8) return launch_few<end()>(start, a, stream);
    if (a.tokens <= 16) return launch_more<end(), 16>(start, a, stream);
    if (a.tokens <= 32) return launch_more<end(), 32>(start, a, stream);
    launch_more<end(), 64>(start, a, stream);
  });
}

}  // namespace nvllm::cuda
