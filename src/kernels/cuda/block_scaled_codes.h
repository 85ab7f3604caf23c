#pragma once

// NVFP4 weights in tile order (nvfp4_tiles.h) to what products of NVFP4 by NVFP4 take (ptx/block_scaled.cuh), in registers.
// Plain arithmetic, so that it is tested without a device.

#include <cstdint>

#ifdef __CUDACC__
#define NVLLM_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define NVLLM_HOST_DEVICE inline
#endif

namespace nvllm::cuda {

/// A lane's eight codes of a block, as tiles have them, to four bits each: columns 4 t, 4 t + 2 in byte 0, 4 t + 1, 4 t + 3 in
/// byte 2, the other bytes zero.
struct CodeRows {
  std::uint32_t upper, lower;  ///< of rows g and g + 8

  NVLLM_HOST_DEVICE explicit CodeRows(std::uint32_t word) {
    constexpr std::uint32_t kMagnitude = 0x00070007, kSign = 0x00080008, kExponent = 0x00060006, kMantissa = 0x00010001;
    upper = (word >> 6 & kMagnitude) | (word >> 12 & kSign) | ((word & kMagnitude) | (word >> 6 & kSign)) << 4;
    lower = (word >> 3 & kMagnitude) | (word >> 9 & kSign) |
            ((word >> 9 & kExponent) | (word >> 14 & kMantissa) | (word >> 10 & kSign)) << 4;
  }
};

/// The E4M3 scale that a tile's byte stands for: wide_scale() undone. The byte of a zero scale, whose codes are zeros, becomes 1.
NVLLM_HOST_DEVICE std::uint32_t narrow_scale(std::uint32_t byte) {
  const std::uint32_t exponent = byte >> 3;
  return exponent >= 3 ? byte - 16 : (8 | (byte & 7)) >> (3 - exponent);
}

/// The same for four bytes.
NVLLM_HOST_DEVICE std::uint32_t narrow_scales(std::uint32_t bytes) {
  std::uint32_t out = 0;
  for (int i = 0; i < 32; i += 8) out |= narrow_scale(bytes >> i & 255u) << i;
  return out;
}

}  // namespace nvllm::cuda

#undef NVLLM_HOST_DEVICE
