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

struct ArrangeArguments {
  const __nv_bfloat16* x;
  long long x_stride;
  std::byte* to;
  int tokens, cols;
};

/// A column tile of x a CTA, in the order of a stage of WideShape<kMatvecTokensMax>; zeros for rows and columns that x lacks.
__global__ void __launch_bounds__(256) arrange_kernel(const __grid_constant__ ArrangeArguments a) {
  using Shape = WideShape<kMatvecTokensMax>;
  constexpr int kPieces = static_cast<int>(kTileCols) / 8;  // of a row
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  std::byte* const to = a.to + static_cast<long long>(blockIdx.x) * Shape::kXBytes;
#pragma unroll
  for (int i = threadIdx.x; i < Shape::kTokens * kPieces; i += 256) {
    const int row = i / kPieces, within = i % kPieces * 8, col = blockIdx.x * static_cast<int>(kTileCols) + within;
    uint4 values{0, 0, 0, 0};
    if (row < a.tokens && col < a.cols) values = __ldcg(reinterpret_cast<const uint4*>(a.x + row * a.x_stride + col));
    const std::uint32_t at = columns_at<Shape>(row, within);
    *reinterpret_cast<uint2*>(to + at) = {values.x, values.z};
    *reinterpret_cast<uint2*>(to + (at ^ 16)) = {values.y, values.w};
  }
}

/// x of a product of more than 64 rows as its kernel takes it.
void arrange_x(PhaseArguments& a, void* images, cudaStream_t stream) {
  const ArrangeArguments arguments{.x = a.x, .x_stride = a.x_stride, .to = static_cast<std::byte*>(images), .tokens = a.tokens, .cols = a.cols};
  launch_early(arrange_kernel, a.col_tiles, 256, 0, stream, arguments);
  a.x = static_cast<const __nv_bfloat16*>(images);
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

MatvecNeeds warpgroup_matvec_needs(const Nvfp4DeviceMatrix& w, const DeviceFacts& device) {
  constexpr std::int64_t kPieceBytes = kMatvecTokensMax / 8 * kConsumerWarps * 32 * static_cast<std::int64_t>(sizeof(float4));
  return {.partial_bytes = 2 * device.multiprocessors * kPieceBytes,
          .arrivals = std::int64_t{device.multiprocessors} * kConsumerWarps,
          .image_bytes = w.col_tiles() * WideShape<kMatvecTokensMax>::kXBytes};
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
  PhaseArguments a = phase_arguments(call, device, workspace);
  const Start start = start_of(call);
  with_end(call.end, [&](auto end) {
    if (a.tokens <= 8) return launch_few<end()>(start, a, stream);
    if (a.tokens <= 16) return launch_more<end(), 16>(start, a, stream);
    if (a.tokens <= 32) return launch_more<end(), 32>(start, a, stream);
    if (a.tokens <= 64) return launch_more<end(), 64>(start, a, stream);
    arrange_x(a, workspace.images(), stream);
    launch_more<end(), kMatvecTokensMax>(start, a, stream);
  });
}

}  // namespace nvllm::cuda
