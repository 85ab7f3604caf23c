// The NVFP4 product of a single row as a kernel of its own.

#include "kernels/cuda/one_row_matvec.cuh"

#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/one_row_cut.h"

namespace nvllm::cuda {

namespace {

// While one product ends, the next one's rings fill. But two CTAs of one product must not meet on a multiprocessor, or
// others would have none. In a layer, products that add to the residual and products that do not take turns; of the ones
// two CTAs have too much shared memory for one multiprocessor, of the others too many registers, and one of each is just right.
constexpr int kOneRowWarps = 12, kMultiplyWarps = kOneRowWarps - 1, kThreads = kOneRowWarps * 32;
constexpr int kSlotsMax = 3;
constexpr int kAddingBytes = 115 * 1024, kOtherBytes = 111 * 1024;
static_assert(2 * kAddingBytes > 226 * 1024 && kAddingBytes + kOtherBytes <= 226 * 1024);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ != 900
constexpr int kAddingRegisters = 128, kOtherRegisters = 128;  // elsewhere shared memory has room for one CTA alone
#else
constexpr int kAddingRegisters = 80, kOtherRegisters = 88;
// A quarter of a multiprocessor has 16384 registers and takes every fourth warp.
static_assert(kOneRowWarps % 4 == 0 && kAddingRegisters % 8 == 0 && kOtherRegisters % 8 == 0);
static_assert(2 * kThreads / 4 * kOtherRegisters > 16384 && kThreads / 4 * (kAddingRegisters + kOtherRegisters) <= 16384);
#endif

template <MatvecEnd kEnd>
__global__ void __maxnreg__(kEnd == MatvecEnd::kAdd ? kAddingRegisters : kOtherRegisters)
    one_row_kernel(const __grid_constant__ OneRowArguments a) {
  using Phase = OneRowPhase<kThreads, kMultiplyWarps, kEnd>;
  extern __shared__ __align__(1024) std::byte shared[];
  ptx::allow_dependents();  // at once: there may be room for the next product's CTA beside this one's
  Phase::make_ring(a, shared);
  OneRowRing ring;
  Phase phase(a, shared, ring);
  ptx::wait_for_dependencies();
  phase.run();
}

/// What a product's kernel takes of a multiprocessor; one that is too wide for its share takes all.
struct Shape {
  int bytes = 0, slots = 0;
};
Shape shape_of(const MatvecCall& call, const DeviceFacts& device) {
  const int all = static_cast<int>(device.shared_bytes), part = call.end == MatvecEnd::kAdd ? kAddingBytes : kOtherBytes;
  for (const int bytes : {std::min(part, all), all}) {
    const int slots = one_row_slots(kMultiplyWarps, call.w->col_tiles(), bytes, kSlotsMax);
    if (slots > 0) return {bytes, slots};
  }
  return {};
}

}  // namespace

int one_row_slots(int multiply_warps, std::int64_t col_tiles, int bytes, int most) {
  while (most > 1 && OneRowMemory(multiply_warps, most, static_cast<int>(col_tiles)).bytes > bytes) --most;
  return most > 1 ? most : 0;
}

OneRowArguments one_row_arguments(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace,
                                  const OneRowMemory& memory, int slots) {
  auto a = common_arguments<OneRowArguments>(call, workspace);
  a.slots = slots;
  a.x_at = memory.x_at;
  a.sums_at = memory.sums_at;
  const OneRowCut cut(a.row_tiles, a.col_tiles, device.multiprocessors);
  a.ctas = cut.ctas;
  a.owned = cut.owned;
  a.share = cut.share;
  a.longer = cut.longer;
  a.by_share = Divisor(std::max(a.share, 1));
  a.by_longer_share = Divisor(a.share + 1);
  a.by_col_tiles = Divisor(a.col_tiles);
  NVLLM_CHECK(call.dense[0].rows + call.dense[1].rows <= a.ctas);
  return a;
}

bool one_row_fits(const MatvecCall& call, const DeviceFacts& device) { return shape_of(call, device).slots > 0; }

void one_row_matvec(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, cudaStream_t stream) {
  const Shape shape = shape_of(call, device);
  const OneRowMemory memory(kMultiplyWarps, shape.slots, static_cast<int>(call.w->col_tiles()));
  const OneRowArguments a = one_row_arguments(call, device, workspace, memory, shape.slots);
  with_end(call.end, [&](auto end) {
    launch_roomy<one_row_kernel<end()>>(start_of(call), a.ctas, kThreads, shape.bytes, stream, a);
  });
}

}  // namespace nvllm::cuda
