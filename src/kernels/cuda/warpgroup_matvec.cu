// The NVFP4 product by warpgroup instructions as a kernel of its own.

#include "kernels/cuda/warpgroup_matvec.cuh"

#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/launch.cuh"

namespace nvllm::cuda {

namespace {

template <int kTokens, bool kOneToken, MatvecEnd kEnd>
__global__ void __launch_bounds__(kPhaseThreads, PhaseMemory<kTokens>::kCtas) warpgroup_matvec_kernel(const __grid_constant__ PhaseArguments a) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) std::byte shared[];
  ptx::allow_dependents();  // at once: there is room for the next product's CTA beside this one's
  make_ring<kTokens, kOneToken>(shared);
  PhaseRing ring;
  WarpgroupPhase<kTokens, kOneToken, kEnd> phase(a, shared, ring);
  ptx::wait_for_dependencies();
  phase.run();
#endif
}

template <int kTokens, bool kOneToken, MatvecEnd kEnd>
void launch(const PhaseArguments& arguments, cudaStream_t stream) {
  auto* const kernel = warpgroup_matvec_kernel<kTokens, kOneToken, kEnd>;
  constexpr int kBytes = PhaseMemory<kTokens>::kBytes;
  static const bool allowed = [&] {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), "raising shared memory");
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared), "preferring shared memory");
    return true;
  }();
  NVLLM_CHECK(allowed);
  launch_early(kernel, arguments.ctas, kPhaseThreads, kBytes, stream, arguments);
}

std::int64_t steps_of(const Nvfp4DeviceMatrix& w) { return (w.row_tiles() + kBlockTiles - 1) / kBlockTiles * w.col_tiles(); }

template <MatvecEnd kEnd>
void launch(const PhaseArguments& a, bool one, cudaStream_t stream) {
  if (one) return launch<8, true, kEnd>(a, stream);
  if (a.tokens <= 8) return launch<8, false, kEnd>(a, stream);
  if (a.tokens <= 16) return launch<16, false, kEnd>(a, stream);
  if (a.tokens <= 32) return launch<32, false, kEnd>(a, stream);
  launch<64, false, kEnd>(a, stream);
}

}  // namespace


MatvecNeeds warpgroup_matvec_needs(const DeviceFacts& device) {
  constexpr std::int64_t kPieceBytes = kMatvecTokensMax / 8 * kConsumerWarps * 32 * static_cast<std::int64_t>(sizeof(float4));
  return {.partial_bytes = 2 * device.multiprocessors * kPieceBytes, .arrivals = std::int64_t{device.multiprocessors} * kConsumerWarps};
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
