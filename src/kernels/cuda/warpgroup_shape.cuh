#pragma once

// What a product by warpgroups (warpgroup_phase.cuh) takes of a multiprocessor, how its ring of shared memory is laid out
// and used, and what its kernels are told.

#include <cstdint>

#include "kernels/cuda/matvec_parts.cuh"
#include "kernels/cuda/nvfp4_tiles.h"
#include "kernels/cuda/ptx/bulk_copy.cuh"
#include "kernels/cuda/ptx/shared.cuh"

namespace nvllm::cuda {

inline constexpr int kWarpgroups = 3;  // that multiply, 64 rows each
inline constexpr int kConsumerWarps = 4 * kWarpgroups;
inline constexpr int kBlockTiles = 2 * kWarpgroups;  // row tiles of a step
inline constexpr int kStepBytes = kBlockTiles * static_cast<int>(kTileBytes);

/// What a CTA takes of a multiprocessor: for products of up to kTokens rows of x, so many warps that bring, and so much
/// shared memory: stages of weights and of x, their barriers, the norm's scales.
template <int kTokens_, int kProducerWarps_, int kSharedBytes_>
struct PhaseShape {
  static constexpr int kTokens = kTokens_, kProducerWarps = kProducerWarps_, kSharedBytes = kSharedBytes_;
  static constexpr int kThreads = (kConsumerWarps + kProducerWarps) * 32;
  // Up to eight tokens are multiplied a warp at a time, which takes fewer instructions then.
  static constexpr bool kWarpgroup = kTokens > 8;
  static constexpr int kXStride = static_cast<int>(kTileCols) * 2 + (kWarpgroup ? 0 : 16);  // padded against bank conflicts
  static constexpr int kXBytes = kTokens * kXStride;
  static constexpr int kXAt = kWarpgroup ? (kStepBytes + 1023) / 1024 * 1024 : kStepBytes;
  static constexpr int kStageBytes = kXAt + kXBytes;
  static constexpr int kSmallBytes = 1024;
  static constexpr int kStages = (kSharedBytes - kSmallBytes) / kStageBytes;
  static constexpr int kBarriersAt = kStages * kStageBytes;
  static constexpr int kScratchAt = kBarriersAt + 2 * kStages * 8;
  // Of so many tokens x was arranged before as a stage has it (arrange_x()), and the copy engine brings it as well.
  static constexpr bool kArranged = kTokens > 64;
  // Warps that bring leave registers to those that multiply: of 128 a thread from 64 tokens on, of 96 for 32; 0: all as they are.
  static constexpr int kProducerRegisters = kTokens == 128 ? 40 : kTokens == 64 ? 64 : kTokens == 32 ? 72 : 0;
  static constexpr int kConsumerRegisters = kTokens == 128 ? 152 : kTokens == 64 ? 144 : kTokens == 32 ? 112 : 0;
  static_assert(kStages >= kProducerWarps && kScratchAt + 8 * 17 * 4 <= kSharedBytes);
  static_assert(!kWarpgroup || kStageBytes % 1024 == 0);
};

// Products of few tokens share a multiprocessor: while one ends, the next one's ring fills. But two CTAs of one product must
// not meet there, or others would have none. In a layer, products that add to the residual and products that do not
// take turns; of the ones two CTAs have too much shared memory for one multiprocessor, of the others too many registers
// (17 warps of 64 a thread each), and one of each is just right.
using AddingShape = PhaseShape<8, 3, 121 * 1024>;
using NormingShape = PhaseShape<8, 5, 105 * 1024>;
inline constexpr int kSharedPhaseRegisters = 64;
/// More tokens have a multiprocessor to themselves; as many warps bring x as the sums leave registers for.
template <int kTokens>
using WideShape = PhaseShape<kTokens, kTokens >= 64 ? 4 : 8, 226 * 1024>;

struct PhaseArguments : MatvecPlaces {
  const std::byte* tiles;
  float4* partials;    // [CTAs, 2, eights of tokens, consumers]: of the block that a CTA begins in, and of a later one
  unsigned* arrivals;  // [CTAs, consumer warps]: of the block whose first piece is that CTA's
  std::uint32_t scale_exponent;
  int row_tiles, col_tiles;
  int ctas;           // that have work: never more than steps
  int share, longer;  // steps of a CTA; so many, the first, have one more
  Divisor by_share, by_longer_share, by_col_tiles;
};

/// How far the ring has been used; goes on from one product of a kernel to the next.
struct PhaseRing {
  std::uint32_t stage = 0, parity = 0;

  /// By less than a round.
  template <int kStages>
  __device__ __forceinline__ void advance(std::uint32_t steps) {
    stage += steps;
    if (stage < kStages) return;
    stage -= kStages;
    parity ^= 1;
  }
  template <int kStages>
  __device__ __forceinline__ void advance_far(std::uint32_t steps) {
    parity ^= (stage + steps) / kStages & 1;
    stage = (stage + steps) % kStages;
  }
};

/// Where eight columns of one row of x, beginning at `col` within a tile, lie in a stage's x that products by warpgroups take:
/// rows of 64 columns, swizzled; in a block's 32 bytes, columns 0, 1, 4, 5, ... and then 2, 3, 6, 7, .... A lane's four codes of a
/// block are columns 4 t ... 4 t + 3, so that the eight are in two places: the other is this one ^ 16.
template <class Shape>
__device__ __forceinline__ std::uint32_t columns_at(int row, int col) {
  return col / 64 * Shape::kTokens * 128 + row * 128 + ((col % 64 / 16 * 2) ^ row % 8) * 16 + col % 16;
}

/// Stores eight columns of one row of x, beginning at `col` within a tile, in a stage's x.
template <class Shape>
__device__ __forceinline__ void store_columns(std::uint32_t x, int row, int col, uint4 values) {
  if constexpr (Shape::kWarpgroup) {
    const std::uint32_t at = x + columns_at<Shape>(row, col);
    ptx::store_shared_8(at, {values.x, values.z});
    ptx::store_shared_8(at ^ 16, {values.y, values.w});
  } else {
    // In a row, [2 halves of the blocks, 4 places t, 4 blocks, 4 columns].
    const std::uint32_t at = x + row * Shape::kXStride + col / 64 * 128 + col % 16 * 8 + col % 64 / 16 * 8;
    ptx::store_shared_8(at, {values.x, values.y});
    ptx::store_shared_8(at + 32, {values.z, values.w});
  }
}

}  // namespace nvllm::cuda
