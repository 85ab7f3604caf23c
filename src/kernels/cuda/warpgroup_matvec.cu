// The NVFP4 product by warpgroup instructions as a kernel of its own.

#include "kernels/cuda/warpgroup_matvec.cuh"

#include <algorithm>
#include <type_traits>

#include "base/check.h"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/launch.cuh"

namespace nvllm::cuda {

namespace {

template <class Shape, bool kOneToken, MatvecEnd kEnd>
__device__ __forceinline__ void run_product(const PhaseArguments& a) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) std::byte shared[];
  ptx::allow_dependents();  // at once: there may be room for the next product's CTA beside this one's
  make_ring<Shape, kOneToken>(shared);
  PhaseRing ring;
  WarpgroupPhase<Shape, kOneToken, kEnd> phase(a, shared, ring);
  ptx::wait_for_dependencies();
  phase.run();
#endif
}

template <MatvecEnd kEnd>
using SharedShape = std::conditional_t<kEnd == MatvecEnd::kAdd, AddingShape, NormingShape>;

/// Up to eight tokens.
template <bool kOneToken, MatvecEnd kEnd>
__global__ void __maxnreg__(kSharedPhaseRegisters) few_rows_kernel(const __grid_constant__ PhaseArguments a) {
  run_product<SharedShape<kEnd>, kOneToken, kEnd>(a);
}

template <int kTokens, MatvecEnd kEnd>
__global__ void __launch_bounds__(WideShape<kTokens>::kThreads, 1) more_rows_kernel(const __grid_constant__ PhaseArguments a) {
  run_product<WideShape<kTokens>, false, kEnd>(a);
}

template <class Shape>
void launch(void (*kernel)(PhaseArguments), const PhaseArguments& arguments, cudaStream_t stream) {
  launch_early(kernel, arguments.ctas, Shape::kThreads, Shape::kSharedBytes, stream, arguments);
}

template <bool kOneToken, MatvecEnd kEnd>
void launch_few(const PhaseArguments& arguments, cudaStream_t stream) {
  static const bool allowed = allow_shared_memory(few_rows_kernel<kOneToken, kEnd>);
  NVLLM_CHECK(allowed);
  launch<SharedShape<kEnd>>(few_rows_kernel<kOneToken, kEnd>, arguments, stream);
}

template <int kTokens, MatvecEnd kEnd>
void launch_more(const PhaseArguments& arguments, cudaStream_t stream) {
  static const bool allowed = allow_shared_memory(more_rows_kernel<kTokens, kEnd>);
  NVLLM_CHECK(allowed);
  launch<WideShape<kTokens>>(more_rows_kernel<kTokens, kEnd>, arguments, stream);
}

template <MatvecEnd kEnd>
void launch(const PhaseArguments& a, bool one, cudaStream_t stream) {
  if (one) return launch_few<true, kEnd>(a, stream);
  if (a.tokens <= 8) return launch_few<false, kEnd>(a, stream);
  if (a.tokens <= 16) return launch_more<16, kEnd>(a, stream);
  if (a.tokens <= 32) return launch_more<32, kEnd>(a, stream);
  launch_more<64, kEnd>(a, stream);
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
  const Nvfp4DeviceMatrix& w = *call.w;
  PhaseArguments a{};
  const bool one = call.tokens == 1;
  fill_places(a, call, one ? kOneTokenUnpackFactor : kUnpackFactor);
  a.tiles = w.tiles();
  a.partials = static_cast<float4*>(workspace.partials());
  a.arrivals = workspace.arrivals();
  a.scale_exponent = one ? kOneTokenScaleExponent : kScaleExponent;
  a.row_tiles = static_cast<int>(w.row_tiles());
  a.col_tiles = static_cast<int>(w.col_tiles());
  a.ctas = static_cast<int>(warpgroup_matvec_ctas(w, device));
  const int steps = static_cast<int>(steps_of(w));
  NVLLM_CHECK(call.dense[0].rows + call.dense[1].rows <= a.ctas);
  a.share = steps / a.ctas;
  a.longer = steps % a.ctas;
  a.by_share = Divisor(a.share);
  a.by_longer_share = Divisor(a.share + 1);
  a.by_col_tiles = Divisor(a.col_tiles);
  return a;
}

void warpgroup_matvec(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, cudaStream_t stream) {
  const PhaseArguments a = phase_arguments(call, device, workspace);
  const bool one = call.tokens == 1;
  switch (call.end) {
    case MatvecEnd::kBf16: return launch<MatvecEnd::kBf16>(a, one, stream);
    case MatvecEnd::kFloat: return launch<MatvecEnd::kFloat>(a, one, stream);
    case MatvecEnd::kAdd: return launch<MatvecEnd::kAdd>(a, one, stream);
    case MatvecEnd::kSwiglu: return launch<MatvecEnd::kSwiglu>(a, one, stream);
  }
}

}  // namespace nvllm::cuda
