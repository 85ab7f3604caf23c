// The NVFP4 product of a single row as a kernel of its own.

#include "kernels/cuda/one_row_matvec.cuh"

#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/launch.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kThreads = kOneRowWarps * 32;
constexpr int kSlotsMax = 3;

// While one product ends, the next one's rings fill. But two CTAs of one product must not meet on a multiprocessor, or
// others would have none. In a layer, products that add to the residual and products that do not take turns; of the ones
// two CTAs have too much shared memory for one multiprocessor, of the others too many registers, and one of each is just right.
constexpr int kAddingBytes = 121 * 1024, kOtherBytes = 105 * 1024;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ != 900
constexpr int kAddingRegisters = 96, kOtherRegisters = 96;  // elsewhere shared memory has room for one alone
#else
constexpr int kAddingRegisters = 72, kOtherRegisters = 80;
static_assert(2 * kThreads * kOtherRegisters > 64 * 1024 && kThreads * (kAddingRegisters + kOtherRegisters) <= 64 * 1024);
#endif
static_assert(2 * kAddingBytes > 227 * 1024 && kAddingBytes + kOtherBytes <= 226 * 1024);

template <MatvecEnd kEnd>
constexpr int kBytes = kEnd == MatvecEnd::kAdd ? kAddingBytes : kOtherBytes;

template <MatvecEnd kEnd>
__global__ void __maxnreg__(kEnd == MatvecEnd::kAdd ? kAddingRegisters : kOtherRegisters)
    one_row_kernel(const __grid_constant__ OneRowArguments a) {
  extern __shared__ __align__(1024) std::byte shared[];
  ptx::allow_dependents();  // at once: there may be room for the next product's CTA beside this one's
  make_one_row_ring(ptx::shared_address(shared) + a.sums_at() + kSumBarriersAt, a.slots);
  OneRowRing ring;
  OneRowPhase<kThreads, kEnd> phase(a, shared, a.sums_at(), ring);
  ptx::wait_for_dependencies();
  phase.run();
}

}  // namespace

int one_row_slots(std::int64_t col_tiles, int bytes) {
  int slots = kSlotsMax;
  while (slots > 1 && one_row_bytes(slots, static_cast<int>(col_tiles)) > bytes) --slots;
  return slots > 1 ? slots : 0;
}

OneRowArguments one_row_arguments(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, int slots) {
  auto a = common_arguments<OneRowArguments>(call, workspace);
  a.slots = slots;
  a.ctas = static_cast<int>(std::min<std::int64_t>(device.multiprocessors, std::int64_t{a.row_tiles} * a.col_tiles));
  a.owned = a.row_tiles / a.ctas;
  const int left = (a.row_tiles - a.owned * a.ctas) * a.col_tiles;
  a.share = left / a.ctas;
  a.longer = left % a.ctas;
  a.by_share = Divisor(std::max(a.share, 1));
  a.by_longer_share = Divisor(a.share + 1);
  a.by_col_tiles = Divisor(a.col_tiles);
  NVLLM_CHECK(call.dense[0].rows + call.dense[1].rows <= a.ctas);
  return a;
}

bool one_row_fits(const MatvecCall& call) {
  return one_row_slots(call.w->col_tiles(), call.end == MatvecEnd::kAdd ? kAddingBytes : kOtherBytes) > 0;
}

void one_row_matvec(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, cudaStream_t stream) {
  with_end(call.end, [&](auto end) {
    constexpr int kShared = kBytes<end()>;
    const OneRowArguments a = one_row_arguments(call, device, workspace, one_row_slots(call.w->col_tiles(), kShared));
    launch_roomy<one_row_kernel<end()>>(start_of(call), a.ctas, kThreads, kShared, stream, a);
  });
}

}  // namespace nvllm::cuda
