#pragma once

// One warp multiplies one tile of NVFP4 weights, in shared memory, by the same columns of up to eight rows of x.

#include <cstdint>

#include "kernels/cuda/ptx/matrix.cuh"
#include "kernels/cuda/ptx/shared.cuh"
#include "kernels/cuda/unpack.cuh"

namespace nvllm::cuda {

using Sums = float[2][4];  // of both groups of rows

/// Adds two blocks' products of one group of rows; `x` holds the columns of both.
__device__ __forceinline__ void multiply_blocks(float (&sums)[4], std::uint32_t even, std::uint32_t odd, std::uint32_t scale_bytes,
                                                std::uint32_t exponent, uint4 x) {
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

}  // namespace nvllm::cuda
