#pragma once

// One NVFP4 product as what all threads of a kernel do together, so that it can be a kernel of its own or one phase
// of a larger one.
//
// A CTA is a team of eight warps that share x in shared memory and work on one row tile at a time, side by side
// along the columns: a step is one tile of each warp. All steps of the matrix lie in one line (part of the
// columns, row tile, chunk) and each CTA takes an equal piece of it, so that every multiprocessor reads equally
// much whatever the shape. Weights come through rings of shared memory that each warp fills for itself. The
// warps' sums of a row tile meet in shared memory; where the line is cut within a row tile, the pieces meet in a
// workspace, and the last CTA to arrive adds them in order.

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/matvec_parts.cuh"
#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/nvfp4_matvec.h"
#include "kernels/cuda/ptx/bulk_copy.cuh"
#include "kernels/cuda/ptx/matrix.cuh"
#include "kernels/cuda/ptx/shared.cuh"
#include "kernels/cuda/tile_product.cuh"

namespace nvllm::cuda {

inline constexpr int kWarps = 8;  // of a team
inline constexpr int kTeamThreads = kWarps * 32;
inline constexpr int kTile = static_cast<int>(kTileBytes);
inline constexpr int kTileScalesAt = static_cast<int>(kTileCodeBytes);
inline constexpr int kXTileBytes = 2 * static_cast<int>(kTileCols);  // one token's columns of a tile
inline constexpr int kChunkXBytes = kWarps * kXTileBytes;
inline constexpr int kRowPadBytes = 16;  // rows of x begin in different banks
inline constexpr int kPairs = 128;       // of sums in a row tile by eight tokens: rows g and g + 8 of a group, for one token
inline constexpr int kMeetingBytes = kWarps * kPairs * 8;

struct MatvecArguments : MatvecPlaces {
  const std::byte* tiles;
  float2* partials;    ///< [row_tiles, slots, kPairs]
  unsigned* arrivals;  ///< [row_tiles]
  std::uint32_t scale_exponent;
  int row_tiles, col_tiles;
  int parts, chunks, part_chunks, slots;
  int ctas;           // that have work: never more than steps, so that every CTA between two has some
  int share, longer;  // steps of a CTA; so many, the first, have one more
  Divisor by_share, by_longer_share, by_chunks, by_last_chunks;

  __host__ __device__ int steps() const { return row_tiles * chunks; }
  __device__ __forceinline__ int chunks_of(int part) const { return min(part_chunks, chunks - part * part_chunks); }
  __device__ __forceinline__ int first_step(int part, int row) const {
    return part * part_chunks * row_tiles + row * chunks_of(part);
  }
  /// Bytes of a row of x in shared memory.
  __host__ __device__ int stride() const { return part_chunks * kChunkXBytes + kRowPadBytes; }
};

/// A run of steps within one row tile: what is left of its chunks, or of the CTA's share.
struct Run {
  int part, row, chunk, steps;

  __device__ Run(const MatvecArguments& a, int step, int end) {
    part = 0;
    while (part + 1 < a.parts && step >= a.first_step(part + 1, 0)) ++part;
    const int chunks = a.chunks_of(part), within = step - a.first_step(part, 0);
    row = (part + 1 < a.parts ? a.by_chunks : a.by_last_chunks).divide(within);
    chunk = within - row * chunks;
    steps = min(chunks - chunk, end - step);
  }
  /// The column tile of one warp; beyond the last for the last chunk's idle warps.
  __device__ __forceinline__ int tile(const MatvecArguments& a, int warp) const {
    return (part * a.part_chunks + chunk) * kWarps + warp;
  }
};

/// Where a warp's next tile comes from; the same in all its lanes.
struct Source {
  const std::byte* from;
  int tile, tile_end;  // tile_end is 0 when nothing is left
  int run_left, step, end;

  __device__ Source(const MatvecArguments& a, int begin, int end_, int warp) : step(begin), end(end_) { start(a, warp); }
  __device__ __forceinline__ void start(const MatvecArguments& a, int warp) {
    tile_end = 0;
    run_left = 0x7fffffff;
    if (step >= end) return;
    const Run run(a, step, end);
    tile = run.tile(a, warp);
    tile_end = a.col_tiles;
    run_left = run.steps;
    step += run.steps;
    from = a.tiles + (static_cast<long long>(run.row) * a.col_tiles + tile) * kTile;
  }
  /// Asks for one tile; a step for which this warp has none ends its stage's phase all the same.
  __device__ __forceinline__ void fetch(const MatvecArguments& a, std::uint32_t stage, std::uint32_t barrier, int warp,
                                        int lane) {
    if (lane == 0 && tile_end > 0) {
      if (tile < tile_end) {
        ptx::copy_bulk(stage, from, kTile, barrier);
      } else {
        ptx::arrive(barrier);
      }
    }
    tile += kWarps;
    from += kWarps * kTile;
    if (--run_left == 0) start(a, warp);
  }
};

/// Where a unit of four columns goes: [tiles][2 halves of a tile][4 places][4 blocks][4 columns].
__device__ __forceinline__ int place_of(int unit) { return unit / 16 * 16 + unit % 4 * 4 + unit / 4 % 4; }

/// x in shared memory, normed on the way; what the rows of `dense` make of it on the way too.
template <bool kPlain>
struct Staging {
  static constexpr int kMost = static_cast<int>(kMatvecNormTokensMax);
  static constexpr int kUnitsPerTile = static_cast<int>(kTileCols) / 4;

  const float* inverse;  ///< of each token, in shared memory
  float dense[kMost] = {};

  /// Four columns of x. Past the first-level cache: another multiprocessor may have written them in this kernel.
  __device__ __forceinline__ static uint2 columns(const MatvecArguments& a, int token, int col) {
    if (token >= a.tokens || col >= a.cols) return {0, 0};
    return __ldcg(reinterpret_cast<const uint2*>(a.x + token * a.x_stride + col));
  }

  __device__ __forceinline__ void find_scales(const MatvecArguments& a, float* scratch, float* scales) {
    float squares[kMost] = {};
#pragma unroll 1
    for (int col = threadIdx.x * 4; col < a.cols; col += kTeamThreads * 4) {
#pragma unroll
      for (int token = 0; token < kMost; ++token) {
        const float4 values = floats_of(columns(a, token, col));
        squares[token] = dot(values, values, squares[token]);
      }
    }
    cta_sums<kTeamThreads>(squares, scratch);
    if (threadIdx.x == 0) {
#pragma unroll
      for (int token = 0; token < kMost; ++token) scales[token] = inverse_rms(squares[token], a.cols, a.norm.epsilon);
    }
    __syncthreads();
    inverse = scales;
  }

  /// A part of the columns of all tokens.
  __device__ __forceinline__ void stage(const MatvecArguments& a, std::byte* to, int part) {
    const int stride = a.stride(), units = a.chunks_of(part) * kWarps * kUnitsPerTile;
    const int first = part * a.part_chunks * kWarps * kUnitsPerTile;
    MatvecDense of;
    const __nv_bfloat16* const row = a.dense_row(of);
#pragma unroll 1
    for (int unit = threadIdx.x; unit < units; unit += kTeamThreads) {
      const int col = (first + unit) * 4;
      uint2 values[kMost];
#pragma unroll
      for (int token = 0; token < kMost; ++token) values[token] = columns(a, token, col);
      if (!kPlain && a.norm.gain != nullptr && col < a.cols) {
        const float4 gain = *reinterpret_cast<const float4*>(a.norm.gain + col);
#pragma unroll
        for (int token = 0; token < kMost; ++token) {
          values[token] = bits_of(normed(floats_of(values[token]), inverse[token], gain, a.norm.zero_centred));
        }
      }
      if (!kPlain && row != nullptr && col < a.cols) {
        const float4 w = floats_of(*reinterpret_cast<const uint2*>(row + col));
#pragma unroll
        for (int token = 0; token < kMost; ++token) dense[token] = dot(floats_of(values[token]), w, dense[token]);
      }
#pragma unroll
      for (int token = 0; token < kMost; ++token) {
        if (token < a.tokens) {
          *reinterpret_cast<uint2*>(to + token * stride + place_of(unit) * 8) = values[token];
        }
      }
    }
  }

  __device__ __forceinline__ void end_dense(const MatvecArguments& a, float* scratch) {
    MatvecDense of;
    if (a.dense_row(of) == nullptr) return;  // the same for all of the CTA
    cta_sums<kTeamThreads>(dense, scratch);
    const int token = threadIdx.x;
    if (token >= a.tokens) return;
    float sum = dense[0];
#pragma unroll
    for (int i = 1; i < kMost; ++i) sum = token == i ? dense[i] : sum;
    of.to[token * of.stride] = __float2bfloat16_rn(sum);
  }
};

/// Ends one pair of sums: rows g and g + 8 of a group of 16, for one token.
template <MatvecEnd kEnd>
__device__ __forceinline__ void put(const MatvecArguments& a, int row_tile, int group, int g, int token, float2 sum) {
  if constexpr (kEnd == MatvecEnd::kSwiglu) {
    put_swiglu(a, row_tile, group, g, token, sum);
  } else {
    const SumPlaces places(a, row_tile, group, g * 4 + token / 2);
    places.put<kEnd>(token % 2, sum.x, places.before<kEnd>(token % 2));
    places.put<kEnd>(token % 2 + 2, sum.y, places.before<kEnd>(token % 2 + 2));
  }
}

/// Pieces of a row tile, in the parts before `part` and in all, and the first CTA that has one in `part`.
struct Pieces {
  int before = 0, all = 0, first = 0;

  __device__ Pieces(const MatvecArguments& a, int row, int part) {
    for (int p = 0; p < a.parts; ++p) {
      const int begin = a.first_step(p, row);
      const int from = owner_of(a, begin), to = owner_of(a, begin + a.chunks_of(p) - 1);
      if (p < part) before += to - from + 1;
      if (p == part) first = from;
      all += to - from + 1;
    }
  }
};

/// Adds the warps' sums of a row tile and ends them, or leaves them to the last CTA that has a piece of it.
template <MatvecEnd kEnd>
__device__ __forceinline__ void finish_row(const MatvecArguments& a, int row_tile, int part, Sums& sums, float2* meeting,
                                           unsigned* arrived) {
  __syncthreads();  // whoever added the last row tile has read this place
#pragma unroll
  for (int group = 0; group < 2; ++group) {
    float(&of)[4] = sums[group];
    float2* to = meeting + threadIdx.x / 32 * kPairs + group * 64 + threadIdx.x % 32;
    to[0] = {of[0], of[2]};
    to[32] = {of[1], of[3]};
    of[0] = of[1] = of[2] = of[3] = 0;
  }
  const Pieces pieces(a, row_tile, part);
  __syncthreads();
  const int pair = (static_cast<int>(threadIdx.x) + row_tile % 2 * kPairs) % kTeamThreads;  // in turn, so that no warp falls behind
  const int lane = pair % 32, group = pair / 64, g = lane / 4, token = lane % 4 * 2 + pair / 32 % 2;
  float2 sum{0, 0};
  if (pair < kPairs) {
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float2 more = meeting[w * kPairs + pair];
      sum.x += more.x;
      sum.y += more.y;
    }
  }
  if (pieces.all == 1) {
    if (pair < kPairs) put<kEnd>(a, row_tile, group, g, token, sum);
    return;
  }
  float2* row = a.partials + static_cast<long long>(row_tile) * a.slots * kPairs + pair;
  if (pair < kPairs) __stcg(row + (pieces.before + static_cast<int>(blockIdx.x) - pieces.first) * kPairs, sum);
  __syncthreads();
  // One thread publishes what all of its CTA have written, and sees what the others published.
  if (pair == 0) *arrived = ptx::add_acquire_release(a.arrivals + row_tile, 1);
  __syncthreads();
  if (*arrived != static_cast<unsigned>(pieces.all) - 1) return;
  if (pair < kPairs) {
    sum = {0, 0};
    for (int piece = 0; piece < pieces.all; ++piece) {
      const float2 more = __ldcg(row + piece * kPairs);
      sum.x += more.x;
      sum.y += more.y;
    }
    put<kEnd>(a, row_tile, group, g, token, sum);
  }
  if (pair == 0) a.arrivals[row_tile] = 0;
}

/// Steps of a warp's ring. Compute capability 12.1 has 99 KB of shared memory, and memory that needs 7 KB under way.
inline constexpr int kTeamStages = 2;

/// Shared memory of a product: rings, meeting place, a word for arrivals, the rings' barriers, the norm's scales, then x.
struct MatvecMemory {
  static constexpr int kMeetingAt = kWarps * kTeamStages * kTile, kArrivedAt = kMeetingAt + kMeetingBytes;
  static constexpr int kBarriersAt = kArrivedAt + 16, kScalesAt = kBarriersAt + kWarps * kTeamStages * 8;
  static constexpr int kFixedBytes = kScalesAt + 4 * static_cast<int>(kMatvecNormTokensMax);
};

/// How far a warp's ring has been used; goes on from one product of a kernel to the next.
struct RingState {
  std::uint32_t stage = 0, parity = 0;
};

/// One product: construction asks for the first weights, run() needs x.
template <MatvecEnd kEnd>
class MatvecPhase {
  using Memory = MatvecMemory;
  static constexpr bool kPlain = kEnd == MatvecEnd::kAdd;

 public:
  /// Makes the rings' barriers; once a kernel, by every warp for itself.
  __device__ __forceinline__ static void make_ring(const MatvecArguments& /*a*/, std::byte* shared) {
    if (threadIdx.x % 32 == 0) {
      const std::uint32_t barriers = ptx::shared_address(shared) + MatvecMemory::kBarriersAt + threadIdx.x / 32 * kTeamStages * 8;
      for (int stage = 0; stage < kTeamStages; ++stage) ptx::init_barrier(barriers + stage * 8);
      ptx::publish_barriers();
    }
    __syncwarp();
  }

  __device__ __forceinline__ MatvecPhase(const MatvecArguments& a, std::byte* shared, RingState& state)
      : a_(a), shared_(shared), state_(state), idle_(static_cast<int>(blockIdx.x) >= a.ctas),
        begin_(idle_ ? 0 : share_begin(a, blockIdx.x)), end_(idle_ ? 0 : share_begin(a, blockIdx.x + 1)),
        source_(a, begin_, end_, warp_) {
    const std::uint32_t base = ptx::shared_address(shared);
    ring_ = base + warp_ * kTeamStages * kTile;
    barriers_ = base + Memory::kBarriersAt + warp_ * kTeamStages * 8;
    for (std::uint32_t i = 0, stage = state.stage; i < kTeamStages; ++i) {
      source_.fetch(a, ring_ + stage * kTile, barriers_ + stage * 8, warp_, lane_);
      stage = stage + 1 == kTeamStages ? 0 : stage + 1;
    }
  }

  __device__ __forceinline__ void run() {
    std::byte* activations = shared_ + Memory::kFixedBytes;
    Staging<kPlain> staging;
    auto* scratch = reinterpret_cast<float*>(shared_ + Memory::kMeetingAt);
    if (!kPlain && a_.norm.gain != nullptr) {
      staging.find_scales(a_, scratch, reinterpret_cast<float*>(shared_ + Memory::kScalesAt));
    }
    int step = begin_;
    for (int part = 0; part < a_.parts; ++part) {  // together, since all warps share x
      if (part > 0) __syncthreads();
      staging.stage(a_, activations, part);
      __syncthreads();
      if (!kPlain && part + 1 == a_.parts && a_.has_dense()) {
        staging.end_dense(a_, scratch);
        __syncthreads();  // the warps' sums meet where these did
      }
      const int part_end = min(end_, a_.first_step(part, 0) + a_.chunks_of(part) * a_.row_tiles);
      while (step < part_end) {
        const Run run(a_, step, part_end);
        multiply(run, ptx::shared_address(activations));
        step += run.steps;
        finish_row<kEnd>(a_, run.row, part, sums_, reinterpret_cast<float2*>(shared_ + Memory::kMeetingAt),
                         reinterpret_cast<unsigned*>(shared_ + Memory::kArrivedAt));
      }
    }
  }

 private:
  __device__ __forceinline__ void multiply(const Run& run, std::uint32_t activations) {
    const int g = lane_ / 4, t = lane_ % 4;
    // Lanes of tokens that are not there read the first token's columns: their sums are never looked at.
    const std::uint32_t x = (g < a_.tokens ? g : 0) * a_.stride() + warp_ * kXTileBytes + t * 32;
    const std::uint32_t codes = ring_ + lane_ * 16, scales = ring_ + kTileScalesAt + g * 16;
    std::uint32_t columns = activations + x + run.chunk * kChunkXBytes;
    int tile = run.tile(a_, warp_);
    for (int left = run.steps; left > 0; --left) {
      const std::uint32_t barrier = barriers_ + state_.stage * 8, at = state_.stage * kTile;
      ptx::wait_for_phase(barrier, state_.parity);
      if (tile < a_.col_tiles) multiply_tile(sums_, codes + at, scales + at, columns, a_.scale_exponent);
      __syncwarp();
      source_.fetch(a_, ring_ + at, barrier, warp_, lane_);
      if (++state_.stage == kTeamStages) {
        state_.stage = 0;
        state_.parity ^= 1;
      }
      tile += kWarps;
      columns += kChunkXBytes;
    }
  }

  const MatvecArguments& a_;
  std::byte* shared_;
  RingState& state_;
  int warp_ = threadIdx.x / 32, lane_ = threadIdx.x % 32;
  bool idle_;
  int begin_, end_;
  Source source_;
  std::uint32_t ring_, barriers_;
  Sums sums_ = {};
};

}  // namespace nvllm::cuda
