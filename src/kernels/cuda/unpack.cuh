#pragma once

// NVFP4 codes in tile order (nvfp4_tiles.h) to BF16 fragments of a 16 x 16 block, in registers.
//
// A code's two exponent bits are put on the lowest exponent bits of BF16, which gives the number
// times 2^-126, subnormal 0.5 included. Scales come in times 2^106, so a weight is its number times
// 2^-20: exact, and far from both ends of BF16. Whoever uses the products multiplies by kUnpackFactor.

#include <cuda_bf16.h>

#include <cstdint>

namespace nvllm::cuda {

inline constexpr float kUnpackFactor = 1048576.0f;

/// Four BF16 pairs from one word; order as mma.m16n8k16 takes A: (g, low), (g + 8, low), (g, high), (g + 8, high).
/// Left shifts and multiplications run on another unit than logic, which is what is short here: five of it a word. The last
/// code has no place from which one shift would do; its bits lie so that one multiplication shifts them by 2 to the left and
/// by 3 and 8 to the right (2^29 and 2^24, in the upper word) without any of them meeting another.
__device__ __forceinline__ void spread_codes(std::uint32_t (&a)[4], std::uint32_t word) {
  constexpr std::uint32_t kCode = 0x81c081c0, kLast = 0x6c006c00, kShifts = 1u << 29 | 1u << 24 | 1u << 2;
  const std::uint64_t last = std::uint64_t{word & kLast} * kShifts;
  a[0] = word & kCode;
  a[1] = word << 3 & kCode;
  a[2] = word << 6 & kCode;
  a[3] = (static_cast<std::uint32_t>(last) | static_cast<std::uint32_t>(last >> 32)) & kCode;
}

__device__ __forceinline__ __nv_bfloat162 as_pair(std::uint32_t bits) { return reinterpret_cast<const __nv_bfloat162&>(bits); }
__device__ __forceinline__ std::uint32_t as_bits(__nv_bfloat162 pair) { return reinterpret_cast<const std::uint32_t&>(pair); }

/// What is set in every scale besides its byte. It comes to the kernel as an argument: from a register the
/// compiler sets it with the mask in one instruction, as a constant in two.
inline constexpr std::uint32_t kScaleExponent = 0x70007000;  // 224 << 7, in whose low bits the byte's five fit

/// The scales of rows g (low half) and g + 8 (high half) for an even and an odd block.
struct BlockScales {
  std::uint32_t even, odd;

  __device__ __forceinline__ BlockScales(std::uint32_t bytes, std::uint32_t exponent) {
    constexpr std::uint32_t kBits = 0x0ff00ff0;
    even = (bytes << 4 & kBits) | exponent;
    odd = (bytes >> 4 & kBits) | exponent;
  }
};

/// The fragment of one block: codes by scales.
__device__ __forceinline__ void unpack_block(std::uint32_t (&a)[4], std::uint32_t word, std::uint32_t scales) {
  spread_codes(a, word);
  const __nv_bfloat162 upper = __low2bfloat162(as_pair(scales)), lower = __high2bfloat162(as_pair(scales));
  a[0] = as_bits(__hmul2(as_pair(a[0]), upper));
  a[1] = as_bits(__hmul2(as_pair(a[1]), lower));
  a[2] = as_bits(__hmul2(as_pair(a[2]), upper));
  a[3] = as_bits(__hmul2(as_pair(a[3]), lower));
}

}  // namespace nvllm::cuda
