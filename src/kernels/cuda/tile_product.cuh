#pragma once

// One warp multiplies one tile of NVFP4 weights, in shared memory, by the same columns of up to eight rows of x.

#include <cstdint>

#include "kernels/cuda/ptx/matrix.cuh"
#include "kernels/cuda/ptx/shared.cuh"
#include "kernels/cuda/unpack.cuh"

namespace nvllm::cuda {

using Sums = float[2][4];  // of both groups of rows

/// Adds two blocks' products of one group of rows; `x` holds the columns of both.
__device__ __forceinline__ void multiply_blocks(float (&sums)[4], std::uint32_t even, std::uint32_t odd,
                                                std::uint32_t scale_bytes, std::uint32_t exponent, uint4 x) {
  const BlockScales scales(scale_bytes, exponent);
  std::uint32_t a[4];
  unpack_block(a, even, scales.even);
  ptx::multiply_16x8x16(sums, a, x.x, x.y);
  unpack_block(a, odd, scales.odd);
  ptx::multiply_16x8x16(sums, a, x.z, x.w);
}

/// Adds one tile's products. `codes` and `x` are where this lane's lie, `scales` its quad's.
__device__ __forceinline__ void multiply_tile(Sums& sums, std::uint32_t codes, std::uint32_t scales, std::uint32_t x,
                                              std::uint32_t exponent) {
  const uint4 bytes[2] = {ptx::load_shared_16(scales), ptx::load_shared_16(scales + 128)};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint4 first = ptx::load_shared_16(x + half * 128), second = ptx::load_shared_16(x + half * 128 + 16);
    const uint4 words[2] = {ptx::load_shared_16(codes + half * 1024), ptx::load_shared_16(codes + half * 1024 + 512)};
#pragma unroll
    for (int group = 0; group < 2; ++group) {
      multiply_blocks(sums[group], words[group].x, words[group].y, half == 0 ? bytes[group].x : bytes[group].z, exponent, first);
    }
#pragma unroll
    for (int group = 0; group < 2; ++group) {
      multiply_blocks(sums[group], words[group].z, words[group].w, half == 0 ? bytes[group].y : bytes[group].w, exponent, second);
    }
  }
}

/// What the sums of multiply_tile_by_one() still have to be multiplied by, with x times kOneTokenFactor.
inline constexpr float kOneTokenUnpackFactor = 281474976710656.0f;  // 2^48
inline constexpr std::uint32_t kOneTokenFactorBits = 0x71807180;      // 2^100, twice, in BF16
inline constexpr std::uint32_t kOneTokenScaleExponent = 0x30000000;  // 96 << 23

/// Which of a tile's eight blocks of columns a lane multiplies, as factors of zero and one: those cost what is not short here.
struct OwnBlock {
  std::uint32_t is[8];

  __device__ __forceinline__ explicit OwnBlock(int lane) {
#pragma unroll
    for (int block = 0; block < 8; ++block) is[block] = ptx::opaque(lane / 4 == block ? 1 : 0);
  }
};

/// A tile by a single row of x, whose columns leave seven of a fragment's eight empty: each block gets one for itself, so that
/// its scale is applied to its sum, in float, and not to its sixteen weights. `columns` are four of this lane's block; sums
/// are of rows g and g + 8 of both groups. `read` is called when all of the tile has been read.
template <class Read>
__device__ __forceinline__ void multiply_tile_by_one(float (&sums)[2][2], std::uint32_t codes, std::uint32_t scales, uint2 columns,
                                                     const OwnBlock& mine, std::uint32_t exponent, const Read& read) {
  constexpr std::uint32_t kByte = 0x0ff00000;
  float dots[2][4] = {};
  std::uint32_t bytes[2] = {};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint4 words[2] = {ptx::load_shared_16(codes + half * 1024), ptx::load_shared_16(codes + half * 1024 + 512)};
    if (half == 1) {
      bytes[0] = ptx::load_shared_4(scales), bytes[1] = ptx::load_shared_4(scales + 128);
      read();
    }
#pragma unroll
    for (int block = 0; block < 4; ++block) {
      const std::uint32_t is_mine = mine.is[half * 4 + block], b0 = columns.x * is_mine, b1 = columns.y * is_mine;
#pragma unroll
      for (int group = 0; group < 2; ++group) {
        const uint4& of = words[group];
        std::uint32_t a[4];
        spread_codes(a, block == 0 ? of.x : block == 1 ? of.y : block == 2 ? of.z : of.w);
        ptx::multiply_16x8x16(dots[group], a, b0, b1);
      }
    }
  }
#pragma unroll
  for (int group = 0; group < 2; ++group) {
    float (&sum)[2] = sums[group];
    sum[0] = fmaf(dots[group][0], __uint_as_float((bytes[group] << 20 & kByte) | exponent), sum[0]);
    sum[0] = fmaf(dots[group][1], __uint_as_float((bytes[group] << 12 & kByte) | exponent), sum[0]);
    sum[1] = fmaf(dots[group][2], __uint_as_float((bytes[group] << 4 & kByte) | exponent), sum[1]);
    sum[1] = fmaf(dots[group][3], __uint_as_float((bytes[group] >> 4 & kByte) | exponent), sum[1]);
  }
}

/// One group of 16 rows of a tile by up to eight rows of x. `codes` and `x` are where this lane's lie, `scales` its quad's.
__device__ __forceinline__ void multiply_group(float (&sums)[4], std::uint32_t codes, std::uint32_t scales, std::uint32_t x,
                                               std::uint32_t exponent) {
  const uint4 bytes = ptx::load_shared_16(scales);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint4 words = ptx::load_shared_16(codes + half * 1024);
    const uint4 first = ptx::load_shared_16(x + half * 128), second = ptx::load_shared_16(x + half * 128 + 16);
    multiply_blocks(sums, words.x, words.y, half == 0 ? bytes.x : bytes.z, exponent, first);
    multiply_blocks(sums, words.z, words.w, half == 0 ? bytes.y : bytes.w, exponent, second);
  }
}

}  // namespace nvllm::cuda
