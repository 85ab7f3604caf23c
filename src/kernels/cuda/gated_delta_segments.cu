// S at the start of every segment of a prompt, S_(p+1) = A_p S_p + B_p, one after the other (gated_delta_prefill.cu has the maths).

#include "kernels/cuda/gated_delta_segments.cuh"
#include "kernels/cuda/launch.cuh"

namespace nvllm::cuda::delta {

namespace {

constexpr int kDim = static_cast<int>(kDeltaDimMax);
constexpr int kColumns = 16, kSlices = kDim / kColumns;
constexpr int kKeys = 16, kThreads = kDim / kKeys * 32;
constexpr int kSplitStride = kDim + 16;  // of BF16 rows in shared memory: eight bytes a thread, of eight rows no bank twice

/// A warp's part of a transition: 16 rows of the matrix, as the right sides of products, and where they are added.
struct TransitionRows {
  float4 matrix[2][8];
  float values[2][4];

  /// Of each 16 columns of the matrix thread t of four has those from 4 t on: products take them as their columns 2 t, 2 t + 1,
  /// 2 t + 8 and 2 t + 9, and the left side's in the same order.
  __device__ __forceinline__ void load(const Transition& from, int key, int column, int lane) {
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        matrix[n][k] = __ldcg(reinterpret_cast<const float4*>(from.matrix + (key + n * 8 + g) * kDim + k * 16 + t * 4));
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) values[n][i] = __ldcg(from.values + (key + n * 8 + t * 2 + i % 2) * kDim + column + g + i / 2 * 8);
    }
  }
};

/// Two floats as pairs of BF16, and what those lack.
struct SplitPair {
  std::uint32_t high, low;

  __device__ __forceinline__ SplitPair(float x, float y)
      : high(pack(x, y)), low(pack(x - low_half(high), y - high_half(high))) {}
};

/// 16 columns of the state by 16 keys, whose order is that of TransitionRows.
__device__ __forceinline__ void load_left(std::uint32_t (&to)[4], const Bf16* state, int k, int g, int t) {
  const auto* const from = reinterpret_cast<const uint2*>(state + g * kSplitStride + k * 16 + t * 4);
  const uint2 upper = from[0], lower = from[8 * kSplitStride / 4];
  to[0] = upper.x;
  to[1] = lower.x;
  to[2] = upper.y;
  to[3] = lower.y;
}

__device__ __forceinline__ float load_state(const float* from) { return __ldcg(from); }
__device__ __forceinline__ float load_state(const Bf16* from) { return load_one(from); }

/// S at the start of every segment. A CTA has 16 value columns of a head, transposed, and each of its warps 16 keys of them; between
/// segments they meet in shared memory. Both sides of a product are split into two BF16: of its four parts the smallest is left out.
template <class State>
__global__ void __launch_bounds__(kThreads, 1) starts_kernel(const __grid_constant__ Starts a) {
  __shared__ __align__(16) Bf16 states[2][2][kColumns * kSplitStride];  // [turn][high or low][columns, keys]
  const Layer& l = a.l;
  const int head = blockIdx.x / kSlices, column = blockIdx.x % kSlices * kColumns;
  const int key = threadIdx.x / 32 * kKeys, lane_of_warp = threadIdx.x % 32, g = lane_of_warp / 4, t = lane_of_warp % 4;
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const Lane lane = load_lane(l.lanes + a.lane);
  if (lane.token_count <= 0 || !l.has_slot(lane)) return;
  TransitionRows next;
  next.load(a.transitions[head], key, column, lane_of_warp);
  const auto cell = [&](int n, int i) { return (key + n * 8 + t * 2 + i % 2) * kDim + column + g + i / 2 * 8; };
  const long long at_slot = (static_cast<long long>(lane.slot) * l.value_heads + head) * kDim * kDim;
  const State* const slot = static_cast<const State*>(l.recurrent) + at_slot;
  float state[2][4];
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) state[n][i] = lane.start > 0 ? load_state(slot + cell(n, i)) : 0.0f;
  }
  for (int segment = 0;; ++segment) {
    float* const start = a.starts + (static_cast<long long>(segment) * l.value_heads + head) * kDim * kDim;
    Bf16* const high = states[segment % 2][0];  // two in turns: who still reads the one before is not in the way
    Bf16* const low = states[segment % 2][1];
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) start[cell(n, i)] = state[n][i];
#pragma unroll
      for (int i = 0; i < 4; i += 2) {
        const SplitPair pair(state[n][i], state[n][i + 1]);
        const int at = (g + i / 2 * 8) * kSplitStride + key + n * 8 + t * 2;
        *reinterpret_cast<std::uint32_t*>(high + at) = pair.high;
        *reinterpret_cast<std::uint32_t*>(low + at) = pair.low;
      }
    }
    if (segment + 1 == a.segments) return;
    __syncthreads();
    const TransitionRows rows = next;
    if (segment + 2 < a.segments) next.load(a.transitions[(segment + 1) * l.value_heads + head], key, column, lane_of_warp);
    float small[2][2][4] = {};
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) state[n][i] = rows.values[n][i];
    }
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      std::uint32_t left_high[4], left_low[4];
      load_left(left_high, high, k, g, t);
      load_left(left_low, low, k, g, t);
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        const SplitPair first(rows.matrix[n][k].x, rows.matrix[n][k].y), second(rows.matrix[n][k].z, rows.matrix[n][k].w);
        ptx::multiply_16x8x16(state[n], left_high, first.high, second.high);
        ptx::multiply_16x8x16(small[n][0], left_high, first.low, second.low);
        ptx::multiply_16x8x16(small[n][1], left_low, first.high, second.high);
      }
    }
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) state[n][i] += small[n][0][i] + small[n][1][i];
    }
  }
}

}  // namespace

void launch_starts(const Starts& a, StateFormat format, cudaStream_t stream) {
  auto* const kernel = format == StateFormat::kFloat ? starts_kernel<float> : starts_kernel<Bf16>;
  launch_early(kernel, a.l.value_heads * kSlices, kThreads, 0, stream, a);
}

}  // namespace nvllm::cuda::delta
