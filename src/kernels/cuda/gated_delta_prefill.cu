// Many tokens of one sequence, in chunks of 64. With unit keys K̂ and queries Q̂, decays d_i from before the chunk to
// token i and D_ij from token j to token i, S the state before the chunk, and T = (I + M)⁻¹ for
// M_ij = β_i (k̂_i · k̂_j) D_ij below the diagonal:
//
//   U = T diag(β) V          W = T diag(β d) K̂          P = (Q̂ K̂ᵀ) ⊙ D
//   N = U - W S              O = diag(d) Q̂ S + P N      S' = d_n S + (diag(D_n) K̂)ᵀ N
//
// U, W and P need no state: the first kernel makes them for all chunks and heads at once. The second goes through the
// chunks in order; a warp has 16 value columns of the state, transposed, as the sums of its matrix products, and they
// are also what the next products take as they lie, so that warps share nothing but what they read. Queries and keys
// enter the products as the convolution left them, exact; what makes them unit vectors is applied to sums in float.
//
// D is a running product: exp(G_i - G_j) of prefix sums would, after one strong decay, be a difference of large numbers.
//
// Few heads leave most of the device idle while chunks go by in order. But a chunk makes of its state S' = A S + B with
//
//   A = d_n I - (diag(D_n) K̂)ᵀ W      B = (diag(D_n) K̂)ᵀ U
//
// and so does a segment of chunks, whose A and B come of the same steps: B of an empty state, A of the identity with U = 0, both by
// columns that know nothing of one another. So a sequence may be cut into segments (delta_segments.h). First all of them but the last
// find their A and B at once; then S goes from each segment to the next, S_(p+1) = A_p S_p + B_p; then the second kernel goes through
// all of them at once, each from its own S. That is 1.6 times the products of matrices, in parallel. A and B are made with the roundings
// that the state itself is made with; from one segment to the next S enters products with some 16 bits, where a chunk's take 8.

#include <algorithm>

#include "kernels/cuda/delta_segments.h"
#include "kernels/cuda/gated_delta_parts.cuh"
#include "kernels/cuda/gated_delta_segments.cuh"
#include "kernels/cuda/gated_delta_words.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/async_copy.cuh"
#include "kernels/cuda/ptx/shared.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kDim = static_cast<int>(kDeltaDimMax), kChunk = kDeltaChunkTokens, kThreads = 128, kWarps = kThreads / 32;
constexpr int kWideStride = kDim + 8, kNarrowStride = kChunk + 8;  // of BF16 rows in shared memory: no bank twice
constexpr int kFloatStride = kChunk + 8;  // of rows of floats
constexpr int kTileTokens = 16;           // of the convolution, a CTA

/// What the first kernel leaves of one chunk of one value head.
struct ChunkParts {
  Bf16 w[kChunk * kDim];    // [tokens, key_dim]
  Bf16 u[kDim * kChunk];    // [value_dim, tokens]
  Bf16 p[kChunk * kChunk];  // [tokens, tokens]
  float query_factors[kChunk];  // d_i / (|q_i| sqrt(key_dim))
  float key_factors[kChunk];    // D_ni / |k_i|
  float decay, unused[31];      // d_n
};
static_assert(sizeof(ChunkParts) % 128 == 0);

struct Prefill {
  delta::Layer l;
  const Bf16* conv;  // [tokens, channels] of the lane
  ChunkParts* parts;  // [chunks, value_heads]
  int lane, chunks, stages;
  int segments, segment_chunks;
  delta::Transition* transitions;  // [segments - 1, value_heads]
  float* starts;  // [segments, value_heads, key_dim, value_dim]; null: there is one segment, which starts from the slot

  __device__ __forceinline__ const ChunkParts& parts_of(int chunk, int head) const {
    return parts[static_cast<long long>(chunk) * l.value_heads + head];
  }
};

/// Consecutive chunks, and how many tokens of the lane there are.
struct ChunkRange {
  int begin, end, tokens;

  __device__ __forceinline__ ChunkRange(const Prefill& a, const Lane& lane, int segment)
      : begin(segment * a.segment_chunks), end(min(begin + a.segment_chunks, all(a, lane.token_count))), tokens(lane.token_count) {}
  static __device__ __forceinline__ int all(const Prefill& a, int tokens) { return min(a.chunks, (tokens + kChunk - 1) / kChunk); }
  __device__ __forceinline__ int rows(int chunk) const { return min(kChunk, tokens - chunk * kChunk); }
};

__device__ __forceinline__ void load_matrices(std::uint32_t (&to)[4], std::uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(row) : "memory");
}
__device__ __forceinline__ void load_transposed(std::uint32_t (&to)[4], std::uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(row) : "memory");
}

/// Which row and column of a 16 by 16 block a lane gives to load_matrices: two blocks of eight rows, then the columns
/// after them (kRowsFirst), or the other way around.
struct Corner {
  int row, col;
  __device__ __forceinline__ Corner(int lane, bool rows_first)
      : row(lane % 8 + (rows_first ? lane / 8 % 2 : lane / 16) * 8), col((rows_first ? lane / 16 : lane / 8 % 2) * 8) {}
};

/// Copies up to 64 rows of 128; rows from `rows` on become zeros.
__device__ __forceinline__ void copy_wide(std::uint32_t to, const Bf16* from, int stride, int rows) {
  for (int i = threadIdx.x; i < kChunk * (kDim / 8); i += kThreads) {
    const int row = i / (kDim / 8), col = i % (kDim / 8) * 8;
    const bool there = row < rows;
    ptx::copy_16(to + (row * kWideStride + col) * 2, from + static_cast<long long>(there ? row : 0) * stride + col, there);
  }
}

// ---- The first kernel -----------------------------------------------------------------------------------------------

struct PrepareBoard {
  union {
    float products[2][kChunk * kFloatStride];   // K Kᵀ and Q Kᵀ, then M in the place of the first
    Bf16 solved[4][kChunk * kNarrowStride];     // T diag(β) and T diag(β d / |k|), each as a BF16 and what it lacks
  };
  Bf16 keys[kChunk * kWideStride], queries[kChunk * kWideStride], values[kChunk * kWideStride];
  float decays[kChunk], betas[kChunk], key_units[kChunk], query_units[kChunk], from_start[kChunk];
};

/// K Kᵀ and Q Kᵀ of the warp's 16 rows, as the vectors came.
__device__ __forceinline__ void multiply_keys(PrepareBoard& board, int warp, int lane) {
  const Corner a(lane, true), b(lane, false);
  const std::uint32_t keys = ptx::shared_address(board.keys), queries = ptx::shared_address(board.queries);
#pragma unroll
  for (int which = 0; which < 2; ++which) {
    float sums[8][4] = {};
#pragma unroll
    for (int k = 0; k < kDim; k += 16) {
      std::uint32_t left[4];
      load_matrices(left, (which == 0 ? keys : queries) + ((warp * 16 + a.row) * kWideStride + k + a.col) * 2);
#pragma unroll
      for (int n = 0; n < 8; n += 2) {
        std::uint32_t right[4];
        load_matrices(right, keys + ((n * 8 + b.row) * kWideStride + k + b.col) * 2);
        ptx::multiply_16x8x16(sums[n], left, right[0], right[1]);
        ptx::multiply_16x8x16(sums[n + 1], left, right[2], right[3]);
      }
    }
    float* const to = board.products[which] + (warp * 16 + lane / 4) * kFloatStride + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      *reinterpret_cast<float2*>(to + n * 8) = {sums[n][0], sums[n][1]};
      *reinterpret_cast<float2*>(to + n * 8 + 8 * kFloatStride) = {sums[n][2], sums[n][3]};
    }
  }
}

/// One over the length of a row.
__device__ __forceinline__ float unit_of_row(const Bf16* row) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kDim; i += 8) {
    const uint4 bits = *reinterpret_cast<const uint4*>(row + i);
    const std::uint32_t pairs[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (const std::uint32_t pair : pairs) {
      const float low = delta::low_half(pair), high = delta::high_half(pair);
      sum = fmaf(low, low, sum);
      sum = fmaf(high, high, sum);
    }
  }
  return 1.0f / sqrtf(sum + 1e-6f);
}

/// Column `j` of M in the place of K Kᵀ, and what the decays make of it: the first one's are those from before the chunk.
__device__ __forceinline__ void decay_keys(PrepareBoard& board, ChunkParts& parts, int j) {
  float decay = 1;
  const float unit = board.key_units[j], first = board.decays[0];
  if (j == 0) board.from_start[0] = first;
#pragma unroll 8
  for (int i = 1; i < kChunk; ++i) {
    decay *= i > j ? board.decays[i] : 1.0f;
    board.products[0][i * kFloatStride + j] *= board.betas[i] * board.key_units[i] * unit * decay;
    if (j == 0) board.from_start[i] = decay * first;
  }
  parts.key_factors[j] = decay * unit;
  if (j == 0) parts.decay = decay * first;
}

/// Column `j` of P.
__device__ __forceinline__ void decay_queries(const PrepareBoard& board, Bf16* p, int j) {
  float decay = 1;
  const float unit = board.key_units[j];
#pragma unroll 8
  for (int i = 0; i < kChunk; ++i) {
    decay *= i > j ? board.decays[i] : 1.0f;
    const float value = i < j ? 0.0f : board.query_units[i] * unit * board.products[1][i * kFloatStride + j] * decay;
    reinterpret_cast<__nv_bfloat16*>(p)[i * kChunk + j] = __float2bfloat16_rn(value);
  }
}

/// Column `j` of T, by substitution.
__device__ __forceinline__ void solve_column(float (&x)[kChunk], const PrepareBoard& board, int j) {
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    float sums[4] = {i == j ? 1.0f : 0.0f, 0, 0, 0};
    const float* const row = board.products[0] + i * kFloatStride;
#pragma unroll
    for (int m = 0; m < i; m += 4) {
      const float4 four = *reinterpret_cast<const float4*>(row + m);
      sums[0] = fmaf(-four.x, x[m], sums[0]);
      if (m + 1 < i) sums[1] = fmaf(-four.y, x[m + 1], sums[1]);
      if (m + 2 < i) sums[2] = fmaf(-four.z, x[m + 2], sums[2]);
      if (m + 3 < i) sums[3] = fmaf(-four.w, x[m + 3], sums[3]);
    }
    x[i] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
}

__device__ __forceinline__ void put_split(Bf16* high, Bf16* low, float value) {
  const __nv_bfloat16 rounded = __float2bfloat16_rn(value);
  *reinterpret_cast<__nv_bfloat16*>(high) = rounded;
  *reinterpret_cast<__nv_bfloat16*>(low) = __float2bfloat16_rn(value - __bfloat162float(rounded));
}

/// The warp's 16 rows of W = T diag(β d / |k|) K.
__device__ __forceinline__ void make_w(const PrepareBoard& board, Bf16* w, int warp, int lane) {
  const Corner at(lane, true);
  float sums[16][4] = {};
  for (int k = 0; k <= warp; ++k) {  // T has nothing above its diagonal
#pragma unroll
    for (int part = 2; part < 4; ++part) {
      std::uint32_t left[4];
      load_matrices(left, ptx::shared_address(board.solved[part]) + ((warp * 16 + at.row) * kNarrowStride + k * 16 + at.col) * 2);
#pragma unroll
      for (int n = 0; n < 16; n += 2) {
        std::uint32_t right[4];
        load_transposed(right, ptx::shared_address(board.keys) + ((k * 16 + at.row) * kWideStride + n * 8 + at.col) * 2);
        ptx::multiply_16x8x16(sums[n], left, right[0], right[1]);
        ptx::multiply_16x8x16(sums[n + 1], left, right[2], right[3]);
      }
    }
  }
  auto* const to = reinterpret_cast<std::uint32_t*>(w + (warp * 16 + lane / 4) * kDim + lane % 4 * 2);
#pragma unroll
  for (int n = 0; n < 16; ++n) {
    to[n * 4] = delta::pack(sums[n][0], sums[n][1]);
    to[n * 4 + 8 * kDim / 2] = delta::pack(sums[n][2], sums[n][3]);
  }
}

/// 16 rows, that is value columns, of Uᵀ = Vᵀ (T diag(β))ᵀ.
__device__ __forceinline__ void make_u(const PrepareBoard& board, Bf16* u, int first_row, int lane) {
  const Corner a(lane, false), b(lane, false);
  float sums[8][4] = {};
#pragma unroll
  for (int k = 0; k < kChunk; k += 16) {
    std::uint32_t left[4];
    load_transposed(left, ptx::shared_address(board.values) + ((k + a.row) * kWideStride + first_row + a.col) * 2);
#pragma unroll
    for (int part = 0; part < 2; ++part) {
#pragma unroll
      for (int n = k / 8; n < 8; n += 2) {
        std::uint32_t right[4];
        load_matrices(right, ptx::shared_address(board.solved[part]) + ((n * 8 + b.row) * kNarrowStride + k + b.col) * 2);
        ptx::multiply_16x8x16(sums[n], left, right[0], right[1]);
        ptx::multiply_16x8x16(sums[n + 1], left, right[2], right[3]);
      }
    }
  }
  auto* const to = reinterpret_cast<std::uint32_t*>(u + (first_row + lane / 4) * kChunk + lane % 4 * 2);
#pragma unroll
  for (int n = 0; n < 8; ++n) {
    to[n * 4] = delta::pack(sums[n][0], sums[n][1]);
    to[n * 4 + 8 * kChunk / 2] = delta::pack(sums[n][2], sums[n][3]);
  }
}

__global__ void __launch_bounds__(kThreads, 2) prepare_kernel(const __grid_constant__ Prefill a) {
  extern __shared__ __align__(128) unsigned char shared[];
  PrepareBoard& board = *reinterpret_cast<PrepareBoard*>(shared);
  const delta::Layer& l = a.l;
  const int head = blockIdx.x % l.value_heads, chunk = blockIdx.x / l.value_heads;
  const int thread = threadIdx.x, warp = thread / 32, lane_of_warp = thread % 32;
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const Lane lane = delta::load_lane(l.lanes + a.lane);
  const int rows = min(kChunk, lane.token_count - chunk * kChunk);
  if (rows <= 0 || !l.has_slot(lane)) return;
  ChunkParts& parts = a.parts[static_cast<long long>(chunk) * l.value_heads + head];
  const Bf16* const x = a.conv + static_cast<long long>(chunk) * kChunk * l.channels;
  copy_wide(ptx::shared_address(board.keys), x + l.channel(1, head), l.channels, rows);
  copy_wide(ptx::shared_address(board.queries), x + l.channel(0, head), l.channels, rows);
  copy_wide(ptx::shared_address(board.values), x + l.channel(2, head), l.channels, rows);
  ptx::close_copies();
  if (thread < kChunk) {
    delta::Gates gates{.decay = 1, .beta = 0};  // a row that is not there changes nothing
    if (thread < rows) {
      const long long row = lane.first_row + chunk * kChunk + thread;
      gates = delta::gates_of(delta::load_one(l.b + row * l.b_stride + head), delta::load_one(l.a + row * l.a_stride + head),
                              -expf(l.a_log[head]), l.dt_bias[head]);
    }
    board.decays[thread] = gates.decay;
    board.betas[thread] = gates.beta;
  }
  ptx::wait_for_copies<0>();
  __syncthreads();
  if (thread < kChunk) {
    board.key_units[thread] = unit_of_row(board.keys + thread * kWideStride);
  } else {
    board.query_units[thread - kChunk] = unit_of_row(board.queries + (thread - kChunk) * kWideStride) * 0.08838834764831845f;
  }
  multiply_keys(board, warp, lane_of_warp);
  __syncthreads();
  if (thread < kChunk) {
    decay_keys(board, parts, thread);
  } else {
    decay_queries(board, parts.p, thread - kChunk);
  }
  __syncthreads();
  float column[kChunk];
  if (thread < kChunk) {
    solve_column(column, board, thread);
  } else {
    parts.query_factors[thread - kChunk] = board.query_units[thread - kChunk] * board.from_start[thread - kChunk];
  }
  __syncthreads();
  if (thread < kChunk) {
    const float of_u = board.betas[thread], of_w = of_u * board.from_start[thread] * board.key_units[thread];
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      const int at = i * kNarrowStride + thread;
      put_split(board.solved[0] + at, board.solved[1] + at, column[i] * of_u);
      put_split(board.solved[2] + at, board.solved[3] + at, column[i] * of_w);
    }
  }
  __syncthreads();
  make_w(board, parts.w, warp, lane_of_warp);
  make_u(board, parts.u, warp * 32, lane_of_warp);
  make_u(board, parts.u, warp * 32 + 16, lane_of_warp);
}

// ---- The second kernel ----------------------------------------------------------------------------------------------

constexpr int kColumns = kWarps * 16, kSlices = kDim / kColumns;
constexpr int kAnswerStride = 24;  // of a token's 16 columns

/// What a state needs of one chunk, in shared memory.
struct StateStage {
  Bf16 w[kChunk * kWideStride], keys[kChunk * kWideStride];
  float key_factors[kChunk];
};

/// The same, and what answers need.
struct Stage : StateStage {
  Bf16 queries[kChunk * kWideStride], p[kChunk * kNarrowStride];
  float query_factors[kChunk];
};

/// Copies 64 floats; by 16 threads from `first` on.
__device__ __forceinline__ void copy_factors(float* to, const float* from, int first) {
  const int i = static_cast<int>(threadIdx.x) - first;
  if (i >= 0 && i < kChunk / 4) ptx::copy_16(ptx::shared_address(to) + i * 16, from + i * 4, true);
}

__device__ __forceinline__ void fetch(const Prefill& a, StateStage& to, int chunk, int head, int rows) {
  const ChunkParts& parts = a.parts_of(chunk, head);
  const Bf16* const x = a.conv + static_cast<long long>(chunk) * kChunk * a.l.channels;
  copy_wide(ptx::shared_address(to.w), parts.w, kDim, kChunk);
  copy_wide(ptx::shared_address(to.keys), x + a.l.channel(1, head), a.l.channels, rows);
  copy_factors(to.key_factors, parts.key_factors, 0);
}

__device__ __forceinline__ void fetch(const Prefill& a, Stage& to, int chunk, int head, int rows) {
  const ChunkParts& parts = a.parts_of(chunk, head);
  const Bf16* const x = a.conv + static_cast<long long>(chunk) * kChunk * a.l.channels;
  fetch(a, static_cast<StateStage&>(to), chunk, head, rows);
  copy_wide(ptx::shared_address(to.queries), x + a.l.channel(0, head), a.l.channels, rows);
  for (int i = threadIdx.x; i < kChunk * kChunk / 8; i += kThreads) {
    ptx::copy_16(ptx::shared_address(to.p) + (i / 8 * kNarrowStride + i % 8 * 8) * 2, parts.p + i * 8, true);
  }
  copy_factors(to.query_factors, parts.query_factors, kChunk / 4);
}

/// Takes a range's chunks through shared memory; bring(range.begin) has been called. The next comes while one is used, if there
/// are two stages.
template <class Bring, class Use>
__device__ __forceinline__ void visit_chunks(const ChunkRange& range, int stages, const Bring& bring, const Use& use) {
  for (int chunk = range.begin; chunk < range.end; ++chunk) {
    const bool more = chunk + 1 < range.end;
    if (stages == 2) {
      if (more) bring(chunk + 1);
      ptx::close_copies();
      ptx::wait_for_copies<1>();
    } else {
      ptx::wait_for_copies<0>();
    }
    __syncthreads();
    use(chunk);
    __syncthreads();
    if (stages == 1) {
      if (more) bring(chunk + 1);
      ptx::close_copies();
    }
  }
}

/// Two neighbouring 8-column blocks of sums as the left side of the next product.
__device__ __forceinline__ void take_left(std::uint32_t (&to)[4], const float (&even)[4], const float (&odd)[4]) {
  to[0] = delta::pack(even[0], even[1]);
  to[1] = delta::pack(even[2], even[3]);
  to[2] = delta::pack(odd[0], odd[1]);
  to[3] = delta::pack(odd[2], odd[3]);
}

/// sums += Sᵀ Xᵀ for 64 rows of X.
__device__ __forceinline__ void multiply_state(float (&sums)[8][4], const std::uint32_t (&state)[8][4], const Bf16* x, int lane) {
  const Corner at(lane, false);
  const std::uint32_t rows = ptx::shared_address(x) + (at.row * kWideStride + at.col) * 2;
#pragma unroll
  for (int k = 0; k < 8; ++k) {
#pragma unroll
    for (int n = 0; n < 8; n += 2) {
      std::uint32_t right[4];
      load_matrices(right, rows + (n * 8 * kWideStride + k * 16) * 2);
      ptx::multiply_16x8x16(sums[n], state[k], right[0], right[1]);
      ptx::multiply_16x8x16(sums[n + 1], state[k], right[2], right[3]);
    }
  }
}

/// The warp's columns of U, transposed.
__device__ __forceinline__ void load_values(std::uint32_t (&u)[8][2], const ChunkParts& parts, int column, int lane) {
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int n = 0; n < 8; ++n) {
    const auto* const from = reinterpret_cast<const std::uint32_t*>(parts.u + (column + g) * kChunk + n * 8 + t * 2);
    u[n][0] = __ldcg(from);
    u[n][1] = __ldcg(from + 8 * kChunk / 2);
  }
}

/// What of U is element `i` of block `n` of sums.
__device__ __forceinline__ float value_of(const std::uint32_t (&u)[8][2], int n, int i) {
  return i % 2 == 0 ? delta::low_half(u[n][i / 2]) : delta::high_half(u[n][i / 2]);
}

/// state = decay · state + (diag(D_n) K̂)ᵀ N, transposed. Scales `values`, which is N.
__device__ __forceinline__ void advance(float (&state)[16][4], float (&values)[8][4], const StateStage& stage, float decay, int lane) {
  const int t = lane % 4;
  const Corner tall(lane, true);
#pragma unroll
  for (int n = 0; n < 16; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) state[n][i] *= decay;
  }
#pragma unroll
  for (int k = 0; k < 4; ++k) {
#pragma unroll
    for (int n = 2 * k; n < 2 * k + 2; ++n) {
      const float2 factors = *reinterpret_cast<const float2*>(stage.key_factors + n * 8 + t * 2);
#pragma unroll
      for (int i = 0; i < 4; ++i) values[n][i] *= i % 2 == 0 ? factors.x : factors.y;
    }
    std::uint32_t left[4];
    take_left(left, values[2 * k], values[2 * k + 1]);
#pragma unroll
    for (int n = 0; n < 16; n += 2) {
      std::uint32_t right[4];
      load_transposed(right, ptx::shared_address(stage.keys) + ((k * 16 + tall.row) * kWideStride + n * 8 + tall.col) * 2);
      ptx::multiply_16x8x16(state[n], left, right[0], right[1]);
      ptx::multiply_16x8x16(state[n + 1], left, right[2], right[3]);
    }
  }
}

/// Takes a chunk: state becomes what it is after it, answers the chunk's outputs; both transposed.
__device__ __forceinline__ void take_chunk(float (&state)[16][4], float (&answers)[8][4], const Stage& stage, const ChunkParts& parts,
                                           int column, int lane) {
  const int t = lane % 4;
  float values[8][4] = {};  // N
  std::uint32_t u[8][2];
  load_values(u, parts, column, lane);
  const float decay = __ldcg(&parts.decay);
  {
    std::uint32_t rounded[8][4];
#pragma unroll
    for (int k = 0; k < 8; ++k) take_left(rounded[k], state[2 * k], state[2 * k + 1]);
    multiply_state(values, rounded, stage.w, lane);
    multiply_state(answers, rounded, stage.queries, lane);
  }
#pragma unroll
  for (int n = 0; n < 8; ++n) {
    const float2 factors = *reinterpret_cast<const float2*>(stage.query_factors + n * 8 + t * 2);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      answers[n][i] *= i % 2 == 0 ? factors.x : factors.y;
      values[n][i] = value_of(u, n, i) - values[n][i];
    }
  }
  const Corner wide(lane, false);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    std::uint32_t left[4];
    take_left(left, values[2 * k], values[2 * k + 1]);
#pragma unroll
    for (int n = 2 * k; n < 8; n += 2) {  // P has nothing above its diagonal
      std::uint32_t right[4];
      load_matrices(right, ptx::shared_address(stage.p) + ((n * 8 + wide.row) * kNarrowStride + k * 16 + wide.col) * 2);
      ptx::multiply_16x8x16(answers[n], left, right[0], right[1]);
      ptx::multiply_16x8x16(answers[n + 1], left, right[2], right[3]);
    }
  }
  advance(state, values, stage, decay, lane);
}

/// The same without answers. Columns from kDim on are those of a state whose U is zero.
__device__ __forceinline__ void pass_chunk(float (&state)[16][4], const StateStage& stage, const ChunkParts& parts, int column, int lane) {
  float values[8][4] = {};  // N
  std::uint32_t u[8][2] = {};
  if (column < kDim) load_values(u, parts, column, lane);
  const float decay = __ldcg(&parts.decay);
  {
    std::uint32_t rounded[8][4];
#pragma unroll
    for (int k = 0; k < 8; ++k) take_left(rounded[k], state[2 * k], state[2 * k + 1]);
    multiply_state(values, rounded, stage.w, lane);
  }
#pragma unroll
  for (int n = 0; n < 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) values[n][i] = value_of(u, n, i) - values[n][i];
  }
  advance(state, values, stage, decay, lane);
}

/// Turns the warp's outputs over in shared memory and writes their rows.
__device__ __forceinline__ void put_answers(__nv_bfloat16* room, const float (&answers)[8][4], Bf16* out, int out_stride, int rows,
                                            int lane) {
  const int g = lane / 4, t = lane % 4;
  __syncwarp();
#pragma unroll
  for (int n = 0; n < 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) room[(n * 8 + t * 2 + i % 2) * kAnswerStride + g + i / 2 * 8] = __float2bfloat16_rn(answers[n][i]);
  }
  __syncwarp();
#pragma unroll
  for (int i = lane; i < kChunk * 2; i += 32) {
    const int row = i / 2, half = i % 2 * 8;
    if (row >= rows) continue;
    const auto* const from = reinterpret_cast<const uint2*>(room + row * kAnswerStride + half);
    delta::store_8(out + static_cast<long long>(row) * out_stride + half, from[0]);
    delta::store_8(out + static_cast<long long>(row) * out_stride + half + 4, from[1]);
  }
}

template <class State, class Visit>
__device__ __forceinline__ void visit_state(State* slot, int column, int lane, Visit visit) {
#pragma unroll
  for (int n = 0; n < 16; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) visit(n, i, slot + (n * 8 + lane % 4 * 2 + i % 2) * kDim + column + lane / 4 + i / 2 * 8);
  }
}

template <class State>
__global__ void __launch_bounds__(kThreads, 1) scan_kernel(const __grid_constant__ Prefill a) {
  extern __shared__ __align__(128) unsigned char shared[];
  auto* const stages = reinterpret_cast<Stage*>(shared);
  const delta::Layer& l = a.l;
  const int head = blockIdx.x / kSlices % l.value_heads, segment = blockIdx.x / kSlices / l.value_heads;
  const int warp = threadIdx.x / 32, lane_of_warp = threadIdx.x % 32, column = blockIdx.x % kSlices * kColumns + warp * 16;
  auto* const room = reinterpret_cast<__nv_bfloat16*>(shared + a.stages * sizeof(Stage)) + warp * kChunk * kAnswerStride;
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const Lane lane = delta::load_lane(l.lanes + a.lane);
  if (lane.token_count <= 0 || !l.has_slot(lane)) return;
  const ChunkRange range(a, lane, segment);
  if (range.begin >= range.end) return;
  const auto stage_of = [&](int chunk) -> Stage& { return stages[chunk & (a.stages - 1)]; };
  const auto bring = [&](int chunk) { fetch(a, stage_of(chunk), chunk, head, range.rows(chunk)); };
  bring(range.begin);
  ptx::close_copies();
  State* const slot = static_cast<State*>(l.recurrent) + (static_cast<long long>(lane.slot) * l.value_heads + head) * kDim * kDim;
  float state[16][4];
  if (a.starts != nullptr) {
    const float* const start = a.starts + (static_cast<long long>(segment) * l.value_heads + head) * kDim * kDim;
    visit_state(start, column, lane_of_warp, [&](int n, int i, const float* from) { state[n][i] = __ldcg(from); });
  } else {
    visit_state(slot, column, lane_of_warp, [&](int n, int i, const State* from) {
      if constexpr (sizeof(State) == 4) state[n][i] = lane.start > 0 ? __ldcg(from) : 0.0f;
      else state[n][i] = lane.start > 0 ? delta::load_one(from) : 0.0f;
    });
  }
  visit_chunks(range, a.stages, bring, [&](int chunk) {
    float answers[8][4] = {};
    take_chunk(state, answers, stage_of(chunk), a.parts_of(chunk, head), column, lane_of_warp);
    put_answers(room, answers, l.out + static_cast<long long>(lane.first_row + chunk * kChunk) * l.out_stride + head * kDim + column,
                l.out_stride, range.rows(chunk), lane_of_warp);
  });
  if (range.end < ChunkRange::all(a, lane.token_count)) return;
  visit_state(slot, column, lane_of_warp, [&](int n, int i, State* to) {
    if constexpr (sizeof(State) == 4) *to = state[n][i];
    else *reinterpret_cast<__nv_bfloat16*>(to) = __float2bfloat16_rn(state[n][i]);
  });
}

// ---- Segments -------------------------------------------------------------------------------------------------------

// What keeps these kernels apart: each waits for the one ahead before it reads or writes anything, and lets the next one start only
// after that. So whoever is past its wait knows that the one ahead has ended, and by the same word all before it: nothing is read
// before it is written, and nothing is written that a kernel still reads. Within a kernel nobody reads what another CTA writes; the
// slot in particular is read where the starts are made, also for the first segment, and written by the last segment's scan.

constexpr int kPassSlices = 2 * kSlices;

/// What every segment but the last makes of any state: of 128 columns of an empty one, and of the identity's 128.
__global__ void __launch_bounds__(kThreads, 2) transition_kernel(const __grid_constant__ Prefill a) {
  extern __shared__ __align__(128) unsigned char shared[];
  auto* const stages = reinterpret_cast<StateStage*>(shared);
  const delta::Layer& l = a.l;
  const int head = blockIdx.x / kPassSlices % l.value_heads, segment = blockIdx.x / kPassSlices / l.value_heads;
  const int warp = threadIdx.x / 32, lane_of_warp = threadIdx.x % 32, column = blockIdx.x % kPassSlices * kColumns + warp * 16;
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const Lane lane = delta::load_lane(l.lanes + a.lane);
  if (lane.token_count <= 0 || !l.has_slot(lane)) return;
  const ChunkRange range(a, lane, segment);
  if (range.begin >= range.end) return;
  const auto bring = [&](int chunk) { fetch(a, stages[chunk % 2], chunk, head, range.rows(chunk)); };
  bring(range.begin);
  ptx::close_copies();
  float state[16][4];
#pragma unroll
  for (int n = 0; n < 16; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int key = n * 8 + lane_of_warp % 4 * 2 + i % 2;
      state[n][i] = column + lane_of_warp / 4 + i / 2 * 8 == kDim + key ? 1.0f : 0.0f;
    }
  }
  visit_chunks(range, 2, bring, [&](int chunk) { pass_chunk(state, stages[chunk % 2], a.parts_of(chunk, head), column, lane_of_warp); });
  delta::Transition& transition = a.transitions[static_cast<long long>(segment) * l.value_heads + head];
  float* const to = column < kDim ? transition.values : transition.matrix;
  visit_state(to, column % kDim, lane_of_warp, [&](int n, int i, float* cell) { *cell = state[n][i]; });
}

// ---- The host's part ------------------------------------------------------------------------------------------------

constexpr int kRoomBytes = kWarps * kChunk * kAnswerStride * 2;

int shared_bytes_max() {
  int bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), "reading the device's shared memory");
  return bytes;
}

template <class Kernel>
void launch_wide(Kernel kernel, int ctas, int bytes, const Prefill& a, cudaStream_t stream) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "raising shared memory");
  launch_early(kernel, ctas, kThreads, bytes, stream, a);
}

bool is_wide(const DeltaShape& shape) { return shape.key_dim == kDim && shape.value_dim == kDim; }

std::int64_t align(std::int64_t bytes) { return (bytes + 255) / 256 * 256; }

/// Where things lie in scratch, in bytes.
struct ScratchPlan {
  std::int64_t parts = 0, transitions = 0, starts = 0, end = 0;

  ScratchPlan(const DeltaShape& shape, std::int64_t tokens, int segments) : parts(align(tokens * shape.channels() * 2)), end(parts) {
    if (!is_wide(shape)) return;
    transitions = align(parts + delta_chunks(tokens) * shape.value_heads * static_cast<std::int64_t>(sizeof(ChunkParts)));
    starts = transitions + (segments - 1) * shape.value_heads * static_cast<std::int64_t>(sizeof(delta::Transition));
    end = segments > 1 ? starts + segments * shape.value_heads * kDim * kDim * 4 : transitions;
  }
};

void launch_scan(const Prefill& a, StateFormat format, cudaStream_t stream) {
  if (a.segments > 1) {
    const int heads = a.l.value_heads;
    launch_wide(transition_kernel, (a.segments - 1) * heads * kPassSlices, 2 * static_cast<int>(sizeof(StateStage)), a, stream);
    const delta::Starts starts{.l = a.l, .transitions = a.transitions, .starts = a.starts, .lane = a.lane, .segments = a.segments};
    delta::launch_starts(starts, format, stream);
  }
  auto* const scan = format == StateFormat::kFloat ? scan_kernel<float> : scan_kernel<Bf16>;
  launch_wide(scan, a.segments * a.l.value_heads * kSlices, a.stages * static_cast<int>(sizeof(Stage)) + kRoomBytes, a, stream);
}

}  // namespace

std::int64_t delta_prefill_scratch_bytes(const DeltaShape& shape, std::int64_t tokens, int segments) {
  return ScratchPlan(shape, tokens, segments).end;
}

void delta_prefill(const DeltaArguments& arguments, const Lane& lane, int lane_index, const DeltaPrefillScratch& scratch,
                   cudaStream_t stream) {
  const delta::Layer l(arguments);
  if (lane.token_count <= 0) return;
  NVLLM_CHECK(scratch.segments >= 1);
  const ScratchPlan plan(arguments.shape, lane.token_count, scratch.segments);
  NVLLM_CHECK(scratch.bytes >= plan.end);
  const delta::LaneRange only{.first = lane_index, .count = 1};
  auto* const rows = static_cast<Bf16*>(scratch.data);
  // The words find a lane's rows by where they lie in the step; scratch has those of this lane alone.
  Bf16* const conv = rows - static_cast<std::int64_t>(lane.first_row) * l.channels;
  delta::launch_conv(l, conv, l.channels, only, (lane.token_count + kTileTokens - 1) / kTileTokens, stream);
  if (is_wide(arguments.shape)) {
    static const int shared_bytes = shared_bytes_max();
    const int two_stages = 2 * static_cast<int>(sizeof(Stage)) + kRoomBytes;
    auto* const data = static_cast<char*>(scratch.data);
    const DeltaCut cut(delta_chunks(lane.token_count), scratch.segments);
    const Prefill a{.l = l,
                    .conv = rows,
                    .parts = reinterpret_cast<ChunkParts*>(data + plan.parts),
                    .lane = lane_index,
                    .chunks = delta_chunks(lane.token_count),
                    .stages = shared_bytes >= two_stages ? 2 : 1,
                    .segments = cut.segments,
                    .segment_chunks = cut.each,
                    .transitions = reinterpret_cast<delta::Transition*>(data + plan.transitions),
                    .starts = cut.segments > 1 ? reinterpret_cast<float*>(data + plan.starts) : nullptr};
    launch_wide(prepare_kernel, a.chunks * l.value_heads, static_cast<int>(sizeof(PrepareBoard)), a, stream);
    launch_scan(a, arguments.format, stream);
  } else {
    delta::launch_rule(l, arguments.format, l.out, l.out_stride, conv, l.channels, only, stream);
  }
  const int norm_ctas = std::min(1024, lane.token_count * l.value_heads / 4 + 1);
  delta::launch_norm(l, l.out, l.out_stride, l.out, l.out_stride, only, norm_ctas, stream);
}

}  // namespace nvllm::cuda
