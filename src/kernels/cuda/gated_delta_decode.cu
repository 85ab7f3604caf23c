// One token of one sequence for one value head of 128 by 128 is one CTA. All of its state is in its registers before
// the kernel ahead has ended; three warps convolve the head's query, key and value, a fourth makes its gates, and then
// the state is read once for what it holds under the key and under the query: with S' = d S + k̂ n and
// n = β (v - d k̂ᵀS), the output q̂ᵀS' is d q̂ᵀS + (q̂ᵀk̂) n, which needs no second pass.

#include "kernels/cuda/gated_delta_parts.cuh"
#include "kernels/cuda/gated_delta_words.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/shared.cuh"

namespace nvllm::cuda {

namespace {

using delta::Four;

constexpr int kDim = 128, kTaps = 4;
constexpr int kGroups = 16, kKeys = kDim / kGroups;  // a group of threads has eight consecutive keys' cells

// CTAs a multiprocessor, whose loads are under way together. Compute capability 12.1 needs few bytes under way, and the
// registers are better used.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1200
constexpr int kFloatCtas = 1, kBf16Ctas = 2;
#else
constexpr int kFloatCtas = 2, kBf16Ctas = 3;
#endif

/// How 16 bytes of state hold columns: parts of four. Cells are read and written once, so no cache need keep them.
template <StateFormat>
struct Cells;

template <>
struct Cells<StateFormat::kFloat> {
  static constexpr int kColumns = 4, kCtas = kFloatCtas;
  static __device__ __forceinline__ Four part(const uint4& bits, int) {
    return {{__uint_as_float(bits.x), __uint_as_float(bits.y), __uint_as_float(bits.z), __uint_as_float(bits.w)}};
  }
  static __device__ __forceinline__ void put(uint4& bits, int, const Four& of) {
    bits = {__float_as_uint(of.x[0]), __float_as_uint(of.x[1]), __float_as_uint(of.x[2]), __float_as_uint(of.x[3])};
  }
};

template <>
struct Cells<StateFormat::kBf16> {
  static constexpr int kColumns = 8, kCtas = kBf16Ctas;
  static __device__ __forceinline__ Four part(const uint4& bits, int which) {
    return delta::unpack_four(which == 0 ? uint2{bits.x, bits.y} : uint2{bits.z, bits.w});
  }
  static __device__ __forceinline__ void put(uint4& bits, int which, const Four& of) {
    const uint2 packed = delta::pack_four(of);
    (which == 0 ? bits.x : bits.z) = packed.x;
    (which == 0 ? bits.y : bits.w) = packed.y;
  }
};

/// What the threads of a CTA tell each other.
struct Board {
  float queries[kDim], keys[kDim], values[kDim], corrected[kDim];
  float read[kGroups][kDim], answer[kGroups][kDim], match[kGroups];  // each group's share of k̂ᵀS, q̂ᵀS and q̂ᵀk̂
  float squares[4];
  delta::Gates gates;
};

template <StateFormat kFormat>
constexpr int kThreads = kGroups * kDim / Cells<kFormat>::kColumns;

/// Adds one group's cells under the keys and queries, four columns at a time, for which there are registers.
template <StateFormat kFormat>
__device__ __forceinline__ void read_cells(Board& board, const uint4 (&cells)[kKeys], int group, int column) {
#pragma unroll
  for (int part = 0; part < Cells<kFormat>::kColumns / 4; ++part) {
    float read[4] = {}, answer[4] = {}, match = 0;
#pragma unroll
    for (int i = 0; i < kKeys; i += 4) {
      const float4 k4 = *reinterpret_cast<const float4*>(board.keys + group * kKeys + i);
      const float4 q4 = *reinterpret_cast<const float4*>(board.queries + group * kKeys + i);
      const float k[4] = {k4.x, k4.y, k4.z, k4.w}, q[4] = {q4.x, q4.y, q4.z, q4.w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const Four s = Cells<kFormat>::part(cells[i + j], part);
        if (part == 0) match = fmaf(k[j], q[j], match);
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          read[c] = fmaf(k[j], s.x[c], read[c]);
          answer[c] = fmaf(q[j], s.x[c], answer[c]);
        }
      }
    }
    *reinterpret_cast<float4*>(&board.read[group][column + part * 4]) = {read[0], read[1], read[2], read[3]};
    *reinterpret_cast<float4*>(&board.answer[group][column + part * 4]) = {answer[0], answer[1], answer[2], answer[3]};
    if (part == 0 && column == 0) board.match[group] = match;
  }
}

/// Keeps the compiler from holding cells in both of their forms, for which there are no registers.
__device__ __forceinline__ void forget_unpacked(uint4 (&cells)[kKeys]) {
#pragma unroll
  for (uint4& cell : cells) asm volatile("" : "+r"(cell.x), "+r"(cell.y), "+r"(cell.z), "+r"(cell.w));
}

/// One column's correction, left for all, and its output.
__device__ __forceinline__ float finish_column(Board& board, int column) {
  float read = 0, answer = 0, match = 0;
#pragma unroll
  for (int g = 0; g < kGroups; ++g) {
    read += board.read[g][column];
    answer += board.answer[g][column];
    match += board.match[g];
  }
  const delta::Gates gates = board.gates;
  const float corrected = gates.beta * fmaf(-gates.decay, read, board.values[column]);
  board.corrected[column] = corrected;
  return delta::round_bf16(fmaf(match, corrected, gates.decay * answer));
}

template <StateFormat kFormat>
__device__ __forceinline__ void write_cells(const Board& board, uint4* state, const uint4 (&cells)[kKeys], int group, int column) {
  constexpr int kColumns = Cells<kFormat>::kColumns;
  const float decay = board.gates.decay;
  float n[kColumns];
#pragma unroll
  for (int c = 0; c < kColumns; ++c) n[c] = board.corrected[column + c];
#pragma unroll
  for (int i = 0; i < kKeys; ++i) {
    const float k = board.keys[group * kKeys + i];
    uint4 out;
#pragma unroll
    for (int part = 0; part < kColumns / 4; ++part) {
      Four s = Cells<kFormat>::part(cells[i], part);
#pragma unroll
      for (int c = 0; c < 4; ++c) s.x[c] = fmaf(k, n[part * 4 + c], s.x[c] * decay);
      Cells<kFormat>::put(out, part, s);
    }
    __stcs(state + i * (kDim / kColumns), out);
  }
}

template <StateFormat kFormat>
__global__ void __launch_bounds__(kThreads<kFormat>, Cells<kFormat>::kCtas) decode_kernel(const __grid_constant__ delta::Layer l) {
  constexpr int kColumns = Cells<kFormat>::kColumns;
  __shared__ __align__(16) Board board;
  const int head = blockIdx.x % l.value_heads, thread = threadIdx.x, warp = thread / 32, at = thread % 32 * 4;
  const int group = thread / (kDim / kColumns), column = thread % (kDim / kColumns) * kColumns;
  const Lane lane = delta::load_lane(l.lanes + blockIdx.x / l.value_heads);
  const bool active = lane.token_count > 0 && l.has_slot(lane), has_past = active && lane.start > 0;

  // Counted in 16 bytes, so that 32 bits are enough for 64 GB of states.
  const unsigned first_cell = ((static_cast<unsigned>(lane.slot) * l.value_heads + head) * kDim + group * kKeys) * (kDim / kColumns) +
                              static_cast<unsigned>(column) / kColumns;
  uint4* const state = static_cast<uint4*>(l.recurrent);
  uint4 cells[kKeys];
#pragma unroll
  for (int i = 0; i < kKeys; ++i) cells[i] = has_past ? __ldcs(state + first_cell + i * (kDim / kColumns)) : uint4{0, 0, 0, 0};
  const int channel = l.channel(warp, head) + at;
  delta::Window<kTaps, true> window;
  float rate = 0, bias = 0;
  if (warp < 3) {
    window.load_weights(l, channel);
    window.load_past(l, channel, lane.slot, has_past ? lane.start : 0);
  } else if (warp == 3) {
    rate = -expf(l.a_log[head]);
    bias = l.dt_bias[head];
  }
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  if (!active) return;

  const long long row = lane.first_row;
  if (warp < 3) {
    const uint2 input = delta::load_8(l.qkv + row * l.qkv_stride + channel);
    const Four x = delta::unpack_four(window.next(input));
    const float factor = warp == 2 ? 1.0f : delta::unit_factor(x, warp == 0 ? 0.08838834764831845f : 1.0f);
    float* const to = warp == 0 ? board.queries : warp == 1 ? board.keys : board.values;
    *reinterpret_cast<float4*>(to + at) = {x.x[0] * factor, x.x[1] * factor, x.x[2] * factor, x.x[3] * factor};
    // Heads that share a query and a key convolve them each for itself; one keeps the input.
    if (warp == 2 || head % l.group == 0) delta::store_8(window.ring_row(l, lane.slot, lane.start) + channel, input);
  } else if (warp == 3) {
    const delta::Gates gates = delta::gates_of(delta::load_one(l.b + row * l.b_stride + head),
                                               delta::load_one(l.a + row * l.a_stride + head), rate, bias);
    if (at == 0) board.gates = gates;
  }
  __syncthreads();
  read_cells<kFormat>(board, cells, group, column);
  const float gain = thread < kDim ? l.gain[thread] : 0;
  const float z = thread < kDim ? delta::load_one(l.z + row * l.z_stride + head * kDim + thread) : 0;
  __syncthreads();
  const float core = thread < kDim ? finish_column(board, thread) : 0;
  __syncthreads();
  forget_unpacked(cells);
  write_cells<kFormat>(board, state + first_cell, cells, group, column);
  if (thread >= kDim) return;
  const float sum = delta::warp_sum(core * core);
  if (at == 0) board.squares[warp] = sum;
  ptx::meet(1, kDim);
  const float scale = delta::inverse_rms(board.squares[0] + board.squares[1] + board.squares[2] + board.squares[3], kDim, l.epsilon);
  reinterpret_cast<__nv_bfloat16*>(l.out)[row * l.out_stride + head * kDim + thread] =
      __float2bfloat16_rn(delta::gated(core, scale, gain, z));
}

template <StateFormat kFormat>
void launch_decode(const delta::Layer& l, bool follows_itself, cudaStream_t stream) {
  const dim3 ctas(static_cast<unsigned>(l.lane_count * l.value_heads));
  launch_grid(follows_itself ? Start::kAfter : Start::kEarly, decode_kernel<kFormat>, ctas, kThreads<kFormat>, 0, stream, l);
}

}  // namespace

void delta_decode(const DeltaArguments& arguments, cudaStream_t stream, bool follows_itself) {
  const delta::Layer l(arguments);
  if (l.lane_count == 0) return;
  if (l.key_dim != kDim || l.value_dim != kDim || l.taps != kTaps) return delta::launch_general_decode(l, arguments.format, stream);
  if (arguments.format == StateFormat::kFloat) return launch_decode<StateFormat::kFloat>(l, follows_itself, stream);
  launch_decode<StateFormat::kBf16>(l, follows_itself, stream);
}

}  // namespace nvllm::cuda
