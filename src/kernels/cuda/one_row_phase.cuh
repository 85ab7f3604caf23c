#pragma once

// One NVFP4 product of a single row of x as what all threads of a kernel do together, so that it can be a kernel of its
// own or one phase of a larger one. What decides its speed is how little happens between two products, when no weights
// flow: x is read and normed once, by all threads, and no CTA waits for another at the end.
//
// Each CTA owns as many row tiles as all have alike, and reads them from left to right. The tiles that are left over are cut
// into equal runs, a run a CTA, and multiplied first: their pieces have long met when the CTA that ends such a tile
// wants them. Most warps multiply, each a tile in turn from a ring of its own that it fills for itself; one more
// warp adds what they have of a row tile, in order, and ends it.

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/matvec_parts.cuh"
#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/ptx/bulk_copy.cuh"
#include "kernels/cuda/ptx/shared.cuh"
#include "kernels/cuda/tile_product.cuh"

namespace nvllm::cuda {

struct OneRowArguments : MatvecPlaces {
  const std::byte* tiles;
  float* partials;     // [CTAs, 32 rows]: a piece of a row tile that another CTA ends
  unsigned* arrivals;  // [row tiles left over]: of such pieces
  std::uint32_t scale_exponent;
  int row_tiles, col_tiles;
  int ctas, owned, share, longer;  // as OneRowCut says
  Divisor by_share, by_longer_share, by_col_tiles;
  int slots;          // of each warp's ring
  int x_at, sums_at;  // where in shared memory x lies, behind the rings, and what follows it; the same for all products of a kernel
};

inline constexpr int kWarpSumsBytes = static_cast<int>(kTileRows) * 4;

inline constexpr int kOneRowScratchBytes = 4 * 32;  // a float a warp

/// Where things lie in shared memory: rings, x, sums of two row tiles, scratch, barriers.
struct OneRowMemory {
  int x_at, sums_at, bytes;

  constexpr OneRowMemory(int multiply_warps, int slots, int col_tiles)
      : x_at(multiply_warps * slots * static_cast<int>(kTileBytes)), sums_at(x_at + col_tiles * static_cast<int>(kTileCols) * 2),
        bytes(sums_at + 2 * multiply_warps * kWarpSumsBytes + kOneRowScratchBytes + (4 + multiply_warps * slots) * 8) {}
};

/// How far a warp has used its ring, and all of them the places where sums meet; goes on from one product of a kernel to the next.
struct OneRowRing {
  std::uint32_t slot = 0, parity = 0, meetings = 0;
};

/// One product of a kernel of kThreads threads, of which kMultiplyWarps warps multiply and the next one ends row tiles. Construction
/// asks for the first weights, unless one that did was there before; run() needs x.
template <int kThreads, int kMultiplyWarps, MatvecEnd kEnd>
class OneRowPhase {
  static_assert(kThreads >= kRowThreads && kThreads / 32 > kMultiplyWarps);
  static constexpr int kTileSumsBytes = kMultiplyWarps * kWarpSumsBytes;
  static constexpr int kScratchAt = 2 * kTileSumsBytes, kSumBarriersAt = kScratchAt + kOneRowScratchBytes;
  static constexpr int kSlotBarriersAt = kSumBarriersAt + 4 * 8;
  static constexpr bool kNorms = kEnd != MatvecEnd::kAdd;
  static constexpr int kTile = static_cast<int>(kTileBytes), kRound = kMultiplyWarps * kTile;

 public:
  /// Makes the barriers; once a kernel, by all threads.
  __device__ __forceinline__ static void make_ring(const OneRowArguments& a, std::byte* shared) {
    if (threadIdx.x == 0) {
      const std::uint32_t barriers = ptx::shared_address(shared) + a.sums_at + kSumBarriersAt;
      for (int i = 0; i < 4; ++i) ptx::init_barrier(barriers + i * 8, i < 2 ? kMultiplyWarps * ptx::kWarpArrivals : ptx::kWarpArrivals);
      for (int i = 0; i < a.slots * kMultiplyWarps; ++i) ptx::init_barrier(barriers + (4 + i) * 8);
      ptx::publish_barriers();
    }
    __syncthreads();
  }

  __device__ __forceinline__ OneRowPhase(const OneRowArguments& a, std::byte* shared, OneRowRing& ring, bool asked = false)
      : a_(a), shared_(shared), base_(ptx::opaque(ptx::shared_address(shared))), ring_(ring) {
    const int cta = static_cast<int>(blockIdx.x), warp = static_cast<int>(threadIdx.x) / 32;
    if (cta < a.ctas) count_ = run_length() + a.owned * a.col_tiles;
    if (asked) return;
    if (warp >= kMultiplyWarps) {
      prefetch_inputs();
      return;
    }
    OneRowRing at = ring;
#pragma unroll 1
    for (int i = 0, tile = warp; i < a.slots && tile < count_; ++i, tile += kMultiplyWarps) {
      if (threadIdx.x % 32 == 0) fetch(tile, at, warp);
      advance(at);
    }
  }

  __device__ __forceinline__ void run() {
    load_x();
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    if (warp < kMultiplyWarps) {
      multiply(warp, lane);
    } else if (warp == kMultiplyWarps) {
      end(lane);
    }
  }

 private:
  /// Tiles of one row tile, the first of them in column tile `col`, that follow one another in this CTA's list.
  struct Stretch {
    int begin, end, row_tile, col;
  };
  /// Of the tiles left over, where this CTA's run begins, and how long it is; worked out anew rather than kept.
  __device__ __forceinline__ int first() const { return share_begin(a_, static_cast<int>(blockIdx.x)); }
  __device__ __forceinline__ int run_length() const { return a_.share + (static_cast<int>(blockIdx.x) < a_.longer ? 1 : 0); }

  __device__ __forceinline__ Stretch stretch(int begin) const {
    if (begin >= run_length()) {
      const int row = static_cast<int>(blockIdx.x) * a_.owned + a_.by_col_tiles.divide(begin - run_length());
      return {begin, begin + a_.col_tiles, row, 0};
    }
    const int over = a_.by_col_tiles.divide(first() + begin), col = first() + begin - over * a_.col_tiles;
    return {begin, begin + min(a_.col_tiles - col, run_length() - begin), a_.ctas * a_.owned + over, col};
  }

  __device__ __forceinline__ std::uint32_t slot_barrier(const OneRowRing& at, int warp) const {
    return base_ + a_.sums_at + kSlotBarriersAt + (at.slot * kMultiplyWarps + warp) * 8;
  }
  __device__ __forceinline__ std::uint32_t sums_full(std::uint32_t meeting) const {
    return base_ + a_.sums_at + kSumBarriersAt + (meeting & 1) * 8;
  }
  __device__ __forceinline__ std::uint32_t sums_free(std::uint32_t meeting) const { return sums_full(meeting) + 16; }
  __device__ __forceinline__ std::uint32_t sums_of(std::uint32_t meeting) const {
    return base_ + a_.sums_at + (meeting & 1) * kTileSumsBytes;
  }
  __device__ __forceinline__ void advance(OneRowRing& at) const {
    if (++at.slot < static_cast<std::uint32_t>(a_.slots)) return;
    at.slot = 0;
    at.parity ^= 1;
  }

  /// Asks for a tile of this CTA's list; one lane.
  __device__ __forceinline__ void fetch(int tile, const OneRowRing& at, int warp) const {
    const long long over = static_cast<long long>(a_.ctas) * a_.owned * a_.col_tiles + first();
    const long long own = static_cast<long long>(blockIdx.x) * a_.owned * a_.col_tiles - run_length();
    const std::byte* from = a_.tiles + ((tile < run_length() ? over : own) + tile) * kTile;
    ptx::copy_bulk(base_ + at.slot * kRound + warp * kTile, from, kTile, slot_barrier(at, warp));
  }

  /// What else comes from memory, while there is time: behind the flood of weights each access would take microseconds.
  __device__ __forceinline__ void prefetch_inputs() const {
    if constexpr (kNorms) {
      MatvecDense of;
      const __nv_bfloat16* const row = a_.dense_row(of);
      constexpr int kBytes = (kThreads - kMultiplyWarps * 32) * ptx::kLineBytes;
      for (int at = (static_cast<int>(threadIdx.x) - kMultiplyWarps * 32) * ptx::kLineBytes; at < a_.cols * 4; at += kBytes) {
        if (a_.norm.gain != nullptr) ptx::prefetch_line(reinterpret_cast<const std::byte*>(a_.norm.gain) + at);
        if (row != nullptr && at < a_.cols * 2) ptx::prefetch_line(reinterpret_cast<const std::byte*>(row) + at);
      }
    }
  }

  /// What eight columns of x meet before they are multiplied by tiles: the norm's gains, and this CTA's row of BF16 or zeros.
  struct Columns {
    uint4 x, dense;
    float4 gain[2];
  };
  __device__ __forceinline__ Columns columns(int piece, const __nv_bfloat16* row) const {
    Columns of{};
    if (piece >= a_.cols / 8) return of;
    of.x = __ldcg(reinterpret_cast<const uint4*>(a_.x) + piece);
    if constexpr (kNorms) {
      if (row != nullptr) of.dense = *(reinterpret_cast<const uint4*>(row) + piece);
      if (a_.norm.gain != nullptr) {
        const auto* const gain = reinterpret_cast<const float4*>(a_.norm.gain) + 2 * piece;
        of.gain[0] = gain[0], of.gain[1] = gain[1];
      }
    }
    return of;
  }
  /// Puts them where the products take them, and adds what they make with the row of BF16.
  __device__ __forceinline__ float put_columns(int piece, const Columns& of, float inverse, float sum) const {
    uint2 low{of.x.x, of.x.y}, high{of.x.z, of.x.w};
    if constexpr (kNorms) {
      if (a_.norm.gain != nullptr) {
        low = bits_of(normed(floats_of(low), inverse, of.gain[0], a_.norm.zero_centred));
        high = bits_of(normed(floats_of(high), inverse, of.gain[1], a_.norm.zero_centred));
      }
      sum = dot(floats_of(low), floats_of({of.dense.x, of.dense.y}), sum);
      sum = dot(floats_of(high), floats_of({of.dense.z, of.dense.w}), sum);
    }
    low = lifted(low), high = lifted(high);
    *reinterpret_cast<uint4*>(shared_ + a_.x_at + piece * 16) = {low.x, low.y, high.x, high.y};
    return sum;
  }
  /// Brings the row, normed and lifted, to shared memory, with zeros up to whole tiles; multiplies it by this CTA's row of BF16.
  __device__ __forceinline__ void load_x() const {
    constexpr int kHeld = kNorms ? 2 : 6;  // on their way at once
    const int all = a_.col_tiles * static_cast<int>(kTileCols) / 8, thread = static_cast<int>(threadIdx.x);
    float* const scratch = reinterpret_cast<float*>(shared_ + a_.sums_at + kScratchAt);
    MatvecDense dense;
    const __nv_bfloat16* row = nullptr;
    if constexpr (kNorms) row = a_.dense_row(dense);
    Columns held[kHeld];
#pragma unroll
    for (int i = 0; i < kHeld; ++i) held[i] = columns(thread + i * kThreads, row);
    float inverse = 1;
    if constexpr (kNorms) {
      if (a_.norm.gain != nullptr) {
        if (thread < kRowThreads) {
          const float sum = row_squares(a_.x, a_.cols, thread);  // x once more, for the order in which every norm adds
          if (thread % 32 == 0) scratch[thread / 32] = sum;
        }
        __syncthreads();
        inverse = inverse_rms(scratch[0] + scratch[1], a_.cols, a_.norm.epsilon);
      }
    }
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (thread + i * kThreads < all) sum = put_columns(thread + i * kThreads, held[i], inverse, sum);
    }
    for (int piece = thread + kHeld * kThreads; piece < all; piece += kThreads) sum = put_columns(piece, columns(piece, row), inverse, sum);
    if constexpr (kNorms) {
      if (row != nullptr) {  // the same for all of the CTA
        __syncthreads();  // all have read what is in scratch
        sum = warp_sum(sum);
        if (thread % 32 == 0) scratch[thread / 32] = sum;
      }
    }
    __syncthreads();
    if constexpr (kNorms) {
      if (row != nullptr && thread / 32 == kMultiplyWarps) {
        const int lane = thread % 32;
        sum = warp_sum(lane < kThreads / 32 ? scratch[lane] : 0.0f);
        if (lane == 0) *dense.to = __float2bfloat16_rn(sum);
      }
    }
  }

  __device__ __forceinline__ void multiply(int warp, int lane) {
    const OwnBlock mine(lane);
    constexpr int kColumnsBytes = static_cast<int>(kTileCols) * 2;
    std::uint32_t x = base_ + a_.x_at + warp * kColumnsBytes + lane * 8;  // of the tile at hand, if its row tile began with this list
    int tile = warp;
#pragma unroll 1
    for (int begin = 0; begin < count_;) {
      const Stretch of = stretch(begin);
      const std::uint32_t to_columns = (of.col - begin) * kColumnsBytes;
      float sums[2][2] = {};
#pragma unroll 1
      for (; tile < of.end; tile += kMultiplyWarps, x += kMultiplyWarps * kColumnsBytes) {
        const std::uint32_t codes = base_ + warp * kTile + ring_.slot * kRound + lane * 16;
        ptx::wait_for_phase(slot_barrier(ring_, warp), ring_.parity);
        const uint2 columns = ptx::load_shared_8(x + to_columns);
        multiply_tile_by_one(sums, codes, codes + static_cast<int>(kTileCodeBytes) - lane * 12, columns, mine, a_.scale_exponent, [&] {
          __syncwarp();
          if (lane == 0 && tile + a_.slots * kMultiplyWarps < count_) fetch(tile + a_.slots * kMultiplyWarps, ring_, warp);
        });
        advance(ring_);
      }
      leave(sums, warp, lane);
      begin = of.end;
    }
  }

  /// Leaves a warp's sums of a row tile for the warp that ends it: a lane those of one row.
  __device__ __forceinline__ void leave(const float (&sums)[2][2], int warp, int lane) {
    const int g = lane / 4, t = lane % 4;
    const bool second = t >= 2, low = t % 2 == 1;
    float both[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      both[i] = second ? sums[1][i] : sums[0][i];
      both[i] += __shfl_xor_sync(0xffffffffu, second ? sums[0][i] : sums[1][i], 2);
    }
    float sum = low ? both[1] : both[0];
    sum += __shfl_xor_sync(0xffffffffu, low ? both[0] : both[1], 1);
    const std::uint32_t meeting = ring_.meetings++;
    ptx::wait_for_phase(sums_free(meeting), (meeting >> 1 & 1) ^ 1);
    ptx::store_shared_4(sums_of(meeting) + warp * kWarpSumsBytes + ((t >= 2 ? 16 : 0) + (low ? 8 : 0) + g) * 4, __float_as_uint(sum));
    __syncwarp();
    if (ptx::arrives_for_warp(lane)) ptx::arrive(sums_full(meeting));
  }

  /// Where the sum of a lane's row of a row tile goes.
  struct Place {
    void* to;
    float factor;
    bool there;
    float before;
  };
  __device__ __forceinline__ Place place(int row_tile, int lane) const {
    if constexpr (kEnd == MatvecEnd::kSwiglu) {
      const int row = (row_tile * 2 + lane / 16) * 8 + lane % 8;
      const bool up = lane % 16 >= 8;
      return {static_cast<__nv_bfloat16*>(a_.outputs[0].to) + row, a_.outputs[up ? 1 : 0].factor, !up && row < a_.outputs[0].rows, 0};
    } else {
      int which = 0;
#pragma unroll 1
      while (which + 1 < a_.output_count && row_tile >= a_.outputs[which + 1].first_tile) ++which;
      const MatvecOutput& output = a_.outputs[which];
      const int row = (row_tile - output.first_tile) * static_cast<int>(kTileRows) + lane;
      constexpr int kBytes = kEnd == MatvecEnd::kFloat ? 4 : 2;
      Place of{static_cast<std::byte*>(output.to) + static_cast<long long>(row) * kBytes, output.factor, row < output.rows, 0};
      if constexpr (kEnd == MatvecEnd::kAdd) {
        if (of.there) of.before = __bfloat162float(__ldcg(static_cast<const __nv_bfloat16*>(of.to)));
      }
      return of;
    }
  }
  __device__ __forceinline__ void put(const Place& of, float sum) const {
    const float value = sum * of.factor;
    if constexpr (kEnd == MatvecEnd::kSwiglu) {
      // Rounded as the products would be if they were stored, so that fusion changes no bit.
      const float own = rounded(value), up = __shfl_down_sync(0xffffffffu, own, 8);
      if (of.there) *static_cast<__nv_bfloat16*>(of.to) = __float2bfloat16_rn(rounded_silu(own) * up);
    } else if constexpr (kEnd == MatvecEnd::kFloat) {
      if (of.there) *static_cast<float*>(of.to) = value;
    } else {
      if (of.there) *static_cast<__nv_bfloat16*>(of.to) = __float2bfloat16_rn(kEnd == MatvecEnd::kAdd ? of.before + rounded(value) : value);
    }
  }

  /// Adds what the warps have of each row tile, a lane a row, and ends it or leaves it to the CTA that does.
  __device__ __forceinline__ void end(int lane) {
    int kept_tile = -1;
    float kept = 0;
#pragma unroll 1
    for (int begin = 0; begin < count_;) {
      const Stretch of = stretch(begin);
      begin = of.end;
      const bool over = of.begin < run_length();
      if (!over && begin == count_ && kept_tile >= 0) {
        collect(kept_tile, kept, lane);
        kept_tile = -1;
      }
      Place to{};
      if (!over) to = place(of.row_tile, lane);
      const std::uint32_t meeting = ring_.meetings++;
      ptx::wait_for_phase(sums_full(meeting), meeting >> 1 & 1);
      const std::uint32_t sums = sums_of(meeting) + lane * 4;
      float sum = 0;
#pragma unroll
      for (int warp = 0; warp < kMultiplyWarps; ++warp) sum += __uint_as_float(ptx::load_shared_4(sums + warp * kWarpSumsBytes));
      __syncwarp();
      if (ptx::arrives_for_warp(lane)) ptx::arrive(sums_free(meeting));
      if (!over) {
        put(to, sum);
      } else if (of.col == 0) {
        kept_tile = of.row_tile;
        kept = sum;
      } else {
        __stcg(a_.partials + blockIdx.x * static_cast<int>(kTileRows) + lane, sum);
        __syncwarp();
        if (lane == 0) ptx::add_release(a_.arrivals + of.row_tile - a_.ctas * a_.owned, 1);
      }
    }
    if (kept_tile >= 0) collect(kept_tile, kept, lane);
  }

  /// Adds the other CTAs' pieces of a row tile that begins in this CTA's run, in order, and ends it.
  __device__ __forceinline__ void collect(int row_tile, float sum, int lane) const {
    const int over = row_tile - a_.ctas * a_.owned, from = static_cast<int>(blockIdx.x);
    const int to = owner_of(a_, (over + 1) * a_.col_tiles - 1);
    const Place of = place(row_tile, lane);
    if (to > from) {
      unsigned* const count = a_.arrivals + over;
      if (lane == 0) {
        while (ptx::load_acquire(count) != static_cast<unsigned>(to - from)) {
        }
        *count = 0;
      }
      __syncwarp();
#pragma unroll 4
      for (int cta = from + 1; cta <= to; ++cta) sum += __ldcg(a_.partials + cta * static_cast<int>(kTileRows) + lane);
    }
    put(of, sum);
  }

  const OneRowArguments& a_;
  std::byte* shared_;
  std::uint32_t base_;
  OneRowRing& ring_;
  int count_ = 0;  // tiles of this CTA
};

}  // namespace nvllm::cuda
