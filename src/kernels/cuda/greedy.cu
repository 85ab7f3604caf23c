// Several CTAs look at a piece of a row each, then one warp a row at what they found.

#include "kernels/cuda/greedy.h"

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/matrix.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kPieces = 32;  // of a row: one for each lane of the warp that joins them
constexpr int kThreads = 256;
constexpr int kAtOnce = 8;   // loads a thread has on their way

/// What is known of some of a row's logits.
struct Piece {
  float largest = -INFINITY;
  std::int32_t id = 0x7fffffff;
  float sum = 0;  ///< of exp(logit - largest)
  int broken = 0;  ///< a NaN or plus infinity was among them
};

__device__ __forceinline__ Piece joined(const Piece& a, const Piece& b) {
  const bool first = a.largest > b.largest || (a.largest == b.largest && a.id < b.id);
  Piece out = first ? a : b;
  const float other = first ? b.largest : a.largest;
  const float shift = other == -INFINITY ? 0.0f : __expf(other - out.largest);
  out.sum = (first ? a.sum : b.sum) + shift * (first ? b.sum : a.sum);
  out.broken = a.broken | b.broken;
  return out;
}

__device__ __forceinline__ Piece warp_joined(Piece piece) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) {
    Piece other;
    other.largest = __shfl_down_sync(0xffffffffu, piece.largest, lane);
    other.id = __shfl_down_sync(0xffffffffu, piece.id, lane);
    other.sum = __shfl_down_sync(0xffffffffu, piece.sum, lane);
    other.broken = __shfl_down_sync(0xffffffffu, piece.broken, lane);
    piece = joined(piece, other);
  }
  return piece;
}

__global__ void __launch_bounds__(kThreads) find_pieces(Piece* pieces, const float* logits, long long stride, int vocab) {
  __shared__ Piece of_warps[kThreads / 32];
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const float* const row = logits + blockIdx.y * stride;
  const int each = (vocab + kPieces - 1) / kPieces, begin = blockIdx.x * each, end = min(begin + each, vocab);
  Piece mine;
#pragma unroll 1
  for (int first = begin + threadIdx.x; first < end; first += kThreads * kAtOnce) {
    float logit[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) logit[i] = first + i * kThreads < end ? __ldcg(row + first + i * kThreads) : -INFINITY;
    const float before = mine.largest;
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      mine.broken |= !(logit[i] < INFINITY);
      if (logit[i] <= mine.largest) continue;  // ids ascend, so an equal one later loses
      mine.largest = logit[i];
      mine.id = first + i * kThreads;
    }
    if (mine.largest == -INFINITY) continue;
    mine.sum *= __expf(before - mine.largest);
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) mine.sum += __expf(logit[i] - mine.largest);
  }
  mine = warp_joined(mine);
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = mine;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < kThreads / 32; ++warp) mine = joined(mine, of_warps[warp]);
  pieces[blockIdx.y * kPieces + blockIdx.x] = mine;
}

__global__ void join_pieces(GreedyChoice* choices, const Piece* pieces) {
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  static_assert(sizeof(Piece) == sizeof(int4));
  const int4 bits = __ldcg(reinterpret_cast<const int4*>(pieces + blockIdx.x * kPieces + threadIdx.x));
  const Piece all = warp_joined({.largest = __int_as_float(bits.x), .id = bits.y, .sum = __int_as_float(bits.z), .broken = bits.w});
  if (threadIdx.x != 0) return;
  const bool usable = all.broken == 0 && all.largest != -INFINITY;
  choices[blockIdx.x] = {.id = usable ? all.id : -1, .logprob = usable ? -__logf(all.sum) : 0.0f};
}

}  // namespace

GreedyWorkspace::GreedyWorkspace(std::int64_t rows)
    : choices_(rows * static_cast<std::int64_t>(sizeof(GreedyChoice))), parts_(rows * kPieces * static_cast<std::int64_t>(sizeof(Piece))) {}

void greedy_choices(View<const float> logits, const GreedyWorkspace& workspace, cudaStream_t stream) {
  if (logits.rows == 0) return;
  auto* pieces = static_cast<Piece*>(workspace.parts());
  const auto rows = static_cast<unsigned>(logits.rows);
  launch_grid(Start::kEarly, find_pieces, dim3(kPieces, rows), kThreads, 0, stream, pieces, logits.data, static_cast<long long>(logits.stride), static_cast<int>(logits.cols));
  launch_grid(Start::kEarly, join_pieces, dim3(rows), 32, 0, stream, workspace.choices(), pieces);
}

}  // namespace nvllm::cuda
