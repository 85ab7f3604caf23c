#pragma once

// One NVFP4 product of up to 128 rows of x as what all threads of a kernel do together, by warpgroup instructions
// (compute capability 9.0), so that it can be a kernel of its own or one phase of a larger one.
//
// All steps of the matrix, of 192 rows by 128 columns, lie in one line (block of rows, column tile), and each CTA takes an
// equal piece of it, so that every multiprocessor reads equally much whatever the shape. Some warps bring: the copy
// engine fills a ring with weights, the warps themselves with the same columns of x, normed on the way (of more than 64 rows
// the copy engine too: arrange_x() was there before). Twelve warps make
// BF16 of the codes in registers and multiply. Where the line is cut within a block of rows, the pieces meet in a
// workspace, and the last CTA to arrive adds them in order, each warp its own rows.

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/ptx/bulk_copy.cuh"
#include "kernels/cuda/ptx/shared.cuh"
#include "kernels/cuda/ptx/warpgroup.cuh"
#include "kernels/cuda/tile_product.cuh"
#include "kernels/cuda/warpgroup_shape.cuh"

namespace nvllm::cuda {

/// One product: construction asks for the first weights, unless one that did was there before; run() needs x.
template <class Shape, MatvecEnd kEnd>
class WarpgroupPhase {
  static constexpr int kTokens = Shape::kTokens;
  static constexpr int kEights = kTokens / 8;
  static constexpr int kScalesAt = 8 * 16;  // of scratch, in floats: behind whatever sums meet in it
  static constexpr int kBlocksAtOnce = kTokens == 128 ? 2 : 4;  // unpacked, of a tile's eight: as registers allow
  static constexpr bool kNorms = kTokens == 8 && kEnd != MatvecEnd::kAdd;

 public:
  /// Makes the ring's barriers; once a kernel, by all threads.
  __device__ __forceinline__ static void make_ring(const PhaseArguments& /*a*/, std::byte* shared) {
    if (threadIdx.x == 0) {
      const std::uint32_t barriers = ptx::shared_address(shared) + Shape::kBarriersAt;
      for (int stage = 0; stage < Shape::kStages; ++stage) {
        ptx::init_barrier(barriers + stage * 8, 1 + (Shape::kArranged ? 1 : ptx::kWarpArrivals));  // weights, and x
        ptx::init_barrier(barriers + (Shape::kStages + stage) * 8, kConsumerWarps * ptx::kWarpArrivals);
      }
      ptx::publish_barriers();
    }
    __syncthreads();
  }

  __device__ __forceinline__ WarpgroupPhase(const PhaseArguments& a, std::byte* shared, PhaseRing& ring, bool asked = false)
      : a_(a), shared_(shared), base_(ptx::opaque(ptx::shared_address(shared))), ring_(ring),
        begin_(static_cast<int>(blockIdx.x) < a.ctas ? share_begin(a, blockIdx.x) : 0),
        end_(static_cast<int>(blockIdx.x) < a.ctas ? share_begin(a, blockIdx.x + 1) : 0) {
    if (asked) return;
    const int producer = static_cast<int>(threadIdx.x) / 32 - kConsumerWarps;
    if (producer < 0) {
      prefetch_inputs();
      return;
    }
    PhaseRing at = ring;
    at.advance<Shape::kStages>(producer);
#pragma unroll 1
    for (int i = producer; i < min(end_ - begin_, Shape::kStages); i += Shape::kProducerWarps) {
      bring_weights(begin_ + i, at);
      at.advance<Shape::kStages>(Shape::kProducerWarps);
    }
  }

  __device__ __forceinline__ void run() {
    float* scratch = reinterpret_cast<float*>(shared_ + Shape::kScratchAt);
    if constexpr (kNorms) {
      if (a_.norm.gain != nullptr) find_scales(scratch);
    }
    const int warp = threadIdx.x / 32;
    if (warp >= kConsumerWarps) {
      if constexpr (Shape::kProducerRegisters > 0) ptx::give_registers<Shape::kProducerRegisters>();
      if constexpr (Shape::kArranged) {
        if (warp == kConsumerWarps) bring_arranged();
      } else {
        bring(warp - kConsumerWarps, scratch + kScalesAt);
      }
    } else {
      if constexpr (Shape::kConsumerRegisters > 0) ptx::take_registers<Shape::kConsumerRegisters>();
      if constexpr (kNorms) multiply_dense(warp, scratch);
      multiply(warp, threadIdx.x % 32);
    }
    ring_.advance_far<Shape::kStages>(end_ - begin_);
  }

 private:
  __device__ __forceinline__ std::uint32_t full(const PhaseRing& at) const { return base_ + Shape::kBarriersAt + at.stage * 8; }
  __device__ __forceinline__ std::uint32_t empty(const PhaseRing& at) const { return full(at) + Shape::kStages * 8; }

  /// What else comes from memory, while there is time: behind the flood of weights each access would take microseconds.
  __device__ __forceinline__ void prefetch_inputs() const {
    if constexpr (kNorms) {
      MatvecDense of;
      const __nv_bfloat16* const row = a_.dense_row(of);
      constexpr int kBytes = kConsumerWarps * 32 * ptx::kLineBytes;
      for (int at = threadIdx.x * ptx::kLineBytes; at < a_.cols * 4; at += kBytes) {
        if (a_.norm.gain != nullptr) ptx::prefetch_line(reinterpret_cast<const std::byte*>(a_.norm.gain) + at);
        if (row != nullptr && at < a_.cols * 2) ptx::prefetch_line(reinterpret_cast<const std::byte*>(row) + at);
      }
    }
  }

  /// One warp asks for the weights of a step once its stage is free.
  __device__ __forceinline__ void bring_weights(int step, const PhaseRing& at) const {
    const int block = a_.by_col_tiles.divide(step), col_tile = step - block * a_.col_tiles, lane = threadIdx.x % 32;
    const int tiles = min(kBlockTiles, a_.row_tiles - block * kBlockTiles);
    ptx::wait_for_phase(empty(at), at.parity ^ 1);
    if (lane == 0) ptx::expect_bytes(full(at), tiles * static_cast<int>(kTileBytes));
    __syncwarp();
    if (lane >= tiles) return;
    constexpr int kBytes = static_cast<int>(kTileBytes);
    const std::byte* from = a_.tiles + (static_cast<long long>(block * kBlockTiles + lane) * a_.col_tiles + col_tile) * kBytes;
    ptx::copy_expected(base_ + at.stage * Shape::kStageBytes + lane * kBytes, from, kBytes, full(at));
  }

  /// One over the root-mean-square of each row of x, to `scratch` + kScalesAt; two warps a row, so that all rows are on
  /// their way at once.
  __device__ __forceinline__ void find_scales(float* scratch) const {
    const int warp = threadIdx.x / 32, token = warp / 2;
    if (token < a_.tokens) {
      const float squares = row_squares(a_.x + token * a_.x_stride, a_.cols, threadIdx.x % kRowThreads);
      if (threadIdx.x % 32 == 0) scratch[warp] = squares;
    }
    __syncthreads();
    if (threadIdx.x < a_.tokens) {
      const float squares = scratch[2 * threadIdx.x] + scratch[2 * threadIdx.x + 1];
      scratch[kScalesAt + threadIdx.x] = inverse_rms(squares, a_.cols, a_.norm.epsilon);
    }
    __syncthreads();
  }

  /// This CTA's row of BF16 by the rows of x, while their first columns are brought.
  __device__ __forceinline__ void multiply_dense(int warp, float* scratch) const {
    MatvecDense of;
    const __nv_bfloat16* const row = a_.dense_row(of);
    if (row == nullptr) return;  // the same for all of the CTA
    constexpr int kMost = kTokens, kConsumers = kConsumerWarps * 32;
    float sums[kMost] = {};
#pragma unroll 1
    for (int col = threadIdx.x * 4; col < a_.cols; col += kConsumers * 4) {
      const float4 w = floats_of(*reinterpret_cast<const uint2*>(row + col));
      float4 gain{};
      if (a_.norm.gain != nullptr) gain = *reinterpret_cast<const float4*>(a_.norm.gain + col);
#pragma unroll
      for (int token = 0; token < kMost; ++token) {
        if (token >= a_.tokens) break;
        uint2 x = __ldcg(reinterpret_cast<const uint2*>(a_.x + token * a_.x_stride + col));
        if (a_.norm.gain != nullptr) x = bits_of(normed(floats_of(x), scratch[kScalesAt + token], gain, a_.norm.zero_centred));
        sums[token] = dot(floats_of(x), w, sums[token]);
      }
    }
#pragma unroll
    for (int token = 0; token < kMost; ++token) {
      const float sum = warp_sum(sums[token]);
      if (threadIdx.x % 32 == 0) scratch[token * kConsumerWarps + warp] = sum;
    }
    ptx::meet(1, kConsumers);
    const int token = threadIdx.x;
    if (token >= a_.tokens) return;
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kConsumerWarps; ++i) sum += scratch[token * kConsumerWarps + i];
    of.to[token * of.stride] = __float2bfloat16_rn(sum);
  }

  // A lane brings eight columns of every second row of x, from row lane / 16 on, a few rows at a time.
  static constexpr int kRows = kTokens / 2;
  static constexpr int kAtOnce = kTokens == 8 ? 4 : 8;

  __device__ __forceinline__ uint4 norm(uint4 x, int row, const float4 (&gain)[2], const float* scales) const {
    if constexpr (kNorms) {
      if (a_.norm.gain != nullptr && row < a_.tokens) {
        const float scale = scales[row];
        const uint2 low = bits_of(normed(floats_of({x.x, x.y}), scale, gain[0], a_.norm.zero_centred));
        const uint2 high = bits_of(normed(floats_of({x.z, x.w}), scale, gain[1], a_.norm.zero_centred));
        x = {low.x, low.y, high.x, high.y};
      }
    }
    return x;
  }

  __device__ __forceinline__ void bring(int producer, const float* scales) const {
    PhaseRing at = ring_;
    at.advance<Shape::kStages>(producer);
    const int lane = threadIdx.x % 32, within = lane % 16 * 8;
#pragma unroll 1
    for (int i = producer; i < end_ - begin_; i += Shape::kProducerWarps) {
      const int step = begin_ + i;
      const int col = (step - a_.by_col_tiles.divide(step) * a_.col_tiles) * static_cast<int>(kTileCols) + within;
      const std::uint32_t to = base_ + at.stage * Shape::kStageBytes + Shape::kXAt;
      const int tokens = col < a_.cols ? a_.tokens : 0;
      int row = lane / 16;
      const __nv_bfloat16* from = a_.x + row * a_.x_stride + col;
      float4 gain[2] = {};
      if constexpr (kNorms) {
        if (a_.norm.gain != nullptr && tokens > 0) {
          gain[0] = *reinterpret_cast<const float4*>(a_.norm.gain + col);
          gain[1] = *reinterpret_cast<const float4*>(a_.norm.gain + col + 4);
        }
      }
      uint4 x[kAtOnce];
#pragma unroll 1
      for (int first = 0; first < kRows; first += kAtOnce, row += 2 * kAtOnce, from += 2 * kAtOnce * a_.x_stride) {
#pragma unroll
        for (int j = 0; j < kAtOnce; ++j) {
          x[j] = row + 2 * j < tokens ? __ldcg(reinterpret_cast<const uint4*>(from + 2 * j * a_.x_stride)) : uint4{0, 0, 0, 0};
        }
        if (first == 0 && i >= Shape::kStages) bring_weights(step, at);
#pragma unroll
        for (int j = 0; j < kAtOnce; ++j) {
          x[j] = norm(x[j], row + 2 * j, gain, scales);
          store_columns<Shape>(to, row + 2 * j, within, x[j]);
        }
      }
      if constexpr (Shape::kWarpgroup) ptx::publish_to_products();
      __syncwarp();
      if (ptx::arrives_for_warp(lane)) ptx::arrive(full(at));
      at.advance<Shape::kStages>(Shape::kProducerWarps);
    }
  }

  /// By one warp: x as it lies in memory.
  __device__ __forceinline__ void bring_arranged() const {
    PhaseRing at = ring_;
#pragma unroll 1
    for (int step = begin_; step < end_; ++step) {
      if (step - begin_ >= Shape::kStages) bring_weights(step, at);
      if (threadIdx.x % 32 == 0) {
        const int col_tile = step - a_.by_col_tiles.divide(step) * a_.col_tiles;
        ptx::expect_bytes(full(at), Shape::kXBytes);
        ptx::copy_expected(base_ + at.stage * Shape::kStageBytes + Shape::kXAt,
                           reinterpret_cast<const std::byte*>(a_.x) + static_cast<long long>(col_tile) * Shape::kXBytes, Shape::kXBytes,
                           full(at));
      }
      __syncwarp();
      at.advance<Shape::kStages>(1);
    }
  }

  __device__ __forceinline__ void multiply(int warp, int lane) {
    const int g = lane / 4, t = lane % 4, group = warp % 2;
    std::uint32_t codes = base_ + warp / 2 * static_cast<int>(kTileBytes) + group * 512 + lane * 16;
    std::uint32_t scales = base_ + warp / 2 * static_cast<int>(kTileBytes) + static_cast<int>(kTileCodeBytes) +
                           group * 128 + g * 16;
    // Kept in registers: the compiler would work them out anew every step.
    codes = ptx::opaque(codes);
    scales = ptx::opaque(scales);
    PhaseRing at = ring_;
    int step = begin_;
#pragma unroll 1
    while (step < end_) {
      const int block = a_.by_col_tiles.divide(step), first = step - block * a_.col_tiles;
      const int steps = min(a_.col_tiles - first, end_ - step);
      float sums[kEights * 4] = {};
      if constexpr (Shape::kWarpgroup) {
        PhaseRing last = at;
#pragma unroll 1
        for (int i = 0; i < steps; ++i) {
          add_tile(sums, codes, scales, at, last, i > 0, lane);
          last = at;
          at.advance<Shape::kStages>(1);
        }
        settle(sums);
        __syncwarp();
        if (ptx::arrives_for_warp(lane)) ptx::arrive(empty(last));
      } else {
        const std::uint32_t x = base_ + Shape::kXAt + g * Shape::kXStride + t * 32;
#pragma unroll 1
        for (int i = 0; i < steps; ++i) {
          const std::uint32_t offset = at.stage * Shape::kStageBytes;
          ptx::wait_for_phase(full(at), at.parity);
          multiply_group(sums, codes + offset, scales + offset, x + offset, a_.scale_exponent);
          __syncwarp();
          if (ptx::arrives_for_warp(lane)) ptx::arrive(empty(at));
          at.advance<Shape::kStages>(1);
        }
      }
      finish(sums, block, first, steps, warp, lane);
      step += steps;
    }
  }

  /// Waits for all products.
  template <int kCount>
  __device__ __forceinline__ static void settle(float (&sums)[kCount]) {
    ptx::wait_for_products<0>();
#pragma unroll
    for (float& sum : sums) asm volatile("" : "+f"(sum)::"memory");
  }

  /// One step of more than eight tokens; the stage of the step before is given back when its products are done.
  __device__ __forceinline__ void add_tile(float (&sums)[kEights * 4], std::uint32_t codes, std::uint32_t scales,
                                           const PhaseRing& at, const PhaseRing& last, bool has_last, int lane) const {
    const std::uint32_t offset = at.stage * Shape::kStageBytes;
    const ptx::SwizzledOperand x(base_ + offset + Shape::kXAt);
    ptx::wait_for_phase(full(at), at.parity);
    const uint4 bytes = ptx::load_shared_16(scales + offset);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint4 words = ptx::load_shared_16(codes + offset + half * 1024);
      const BlockScales first(half == 0 ? bytes.x : bytes.z, a_.scale_exponent);
      const BlockScales second(half == 0 ? bytes.y : bytes.w, a_.scale_exponent);
      const std::uint32_t word[4] = {words.x, words.y, words.z, words.w};
      const std::uint32_t scale[4] = {first.even, first.odd, second.even, second.odd};
#pragma unroll
      for (int block = 0; block < 4; block += kBlocksAtOnce) {
        // While these are unpacked, the products of those before are at work.
        std::uint32_t of[kBlocksAtOnce][4];
#pragma unroll
        for (int i = 0; i < kBlocksAtOnce; ++i) unpack_block(of[i], word[block + i], scale[block + i]);
        ptx::fence_products();
#pragma unroll
        for (int i = 0; i < kBlocksAtOnce; ++i) {
          ptx::WarpgroupProduct<kTokens>::multiply(sums, of[i], x.at(half * kTokens * 128 + (block + i) * 32), true);
        }
        ptx::commit_products();
        ptx::wait_for_products<1>();
        if (half == 0 && block == 0 && has_last && ptx::arrives_for_warp(lane)) ptx::arrive(empty(last));
      }
    }
  }

  /// Ends a warp's 16 rows, or leaves them to the last CTA that has a piece of them.
  __device__ __forceinline__ void finish(float (&sums)[kEights * 4], int block, int first, int steps, int warp, int lane) const {
    const int row_tile = block * kBlockTiles + warp / 2;
    if (row_tile >= a_.row_tiles) return;
    if (steps < a_.col_tiles && !gather(sums, block, warp, lane)) return;
    if constexpr (kEnd == MatvecEnd::kSwiglu) {
#pragma unroll
      for (int i = 0; i < kEights * 2; ++i) {
        const int at = i / 2 * 4 + i % 2;
        put_swiglu(a_, row_tile, warp % 2, lane / 4, i / 2 * 8 + lane % 4 * 2 + i % 2, {sums[at], sums[at + 2]});
      }
    } else {
      const SumPlaces places(a_, row_tile, warp % 2, lane);
      constexpr int kGroup = kEights < 4 ? kEights * 4 : 16;  // asked for at once: for more there are no registers
#pragma unroll
      for (int first = 0; first < kEights * 4; first += kGroup) {
        float before[kGroup];
#pragma unroll
        for (int i = 0; i < kGroup; ++i) before[i] = places.before<kEnd>(first + i);
#pragma unroll
        for (int i = 0; i < kGroup; ++i) places.put<kEnd>(first + i, sums[first + i], before[i]);
      }
    }
  }

  /// Leaves a warp's piece of a block in the workspace; the last to do so gets the sums of all pieces, and true.
  __device__ __forceinline__ bool gather(float (&sums)[kEights * 4], int block, int warp, int lane) const {
    constexpr int kConsumers = kConsumerWarps * 32, kPiece = kEights * kConsumers;
    const int begin = block * a_.col_tiles, from = owner_of(a_, begin), to = owner_of(a_, begin + a_.col_tiles - 1);
    // Of all CTAs only the first may have begun in an earlier block.
    float4* const places = a_.partials + warp * 32 + lane;
    float4* const first = places + (2 * from + (share_begin(a_, from) < begin ? 1 : 0)) * kPiece;
    const int cta = static_cast<int>(blockIdx.x);
    float4* const mine = cta == from ? first : places + 2 * cta * kPiece;
#pragma unroll
    for (int i = 0; i < kEights; ++i) {
      __stcg(mine + i * kConsumers, float4{sums[4 * i], sums[4 * i + 1], sums[4 * i + 2], sums[4 * i + 3]});
    }
    __syncwarp();
    unsigned arrived = 0;
    if (lane == 0) {
      unsigned* const count = a_.arrivals + from * kConsumerWarps + warp;
      arrived = ptx::add_acquire_release(count, 1);
      if (arrived == static_cast<unsigned>(to - from)) *count = 0;
    }
    if (__shfl_sync(0xffffffffu, arrived, 0) != static_cast<unsigned>(to - from)) return false;
#pragma unroll
    for (int i = 0; i < kEights; ++i) {
      const float4 piece = __ldcg(first + i * kConsumers);
      sums[4 * i] = piece.x, sums[4 * i + 1] = piece.y, sums[4 * i + 2] = piece.z, sums[4 * i + 3] = piece.w;
    }
    // Pieces, and eights of tokens of them, as many at once as there are registers for.
    constexpr int kEightsAtOnce = kEights < 8 ? kEights : 8;
    constexpr int kAtOnce = kEights == 16 ? 1 : kEights >= 4 ? 2 : 8 / kEights;
#pragma unroll
    for (int eights = 0; eights < kEights; eights += kEightsAtOnce) {
#pragma unroll 1
      for (int next = from + 1; next <= to; next += kAtOnce) {
        float4 more[kAtOnce][kEightsAtOnce];
#pragma unroll
        for (int j = 0; j < kAtOnce; ++j) {
#pragma unroll
          for (int i = 0; i < kEightsAtOnce; ++i) {
            more[j][i] = next + j <= to ? __ldcg(places + (2 * (next + j) * kPiece + (eights + i) * kConsumers)) : float4{0, 0, 0, 0};
          }
        }
#pragma unroll
        for (int j = 0; j < kAtOnce; ++j) {
#pragma unroll
          for (int i = 0; i < kEightsAtOnce; ++i) {
            float* const sum = sums + 4 * (eights + i);
            sum[0] += more[j][i].x;
            sum[1] += more[j][i].y;
            sum[2] += more[j][i].z;
            sum[3] += more[j][i].w;
          }
        }
      }
    }
    return true;
  }

  const PhaseArguments& a_;
  std::byte* shared_;
  std::uint32_t base_;
  PhaseRing& ring_;
  int begin_, end_;
};

}  // namespace nvllm::cuda
