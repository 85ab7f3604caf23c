#pragma once

// Products of NVFP4 by NVFP4, block scales included: an instruction of compute capability 12.1, elsewhere its arithmetic
// spelled out, which is slow and there to check by.

#include <cstdint>

namespace nvllm::cuda::ptx {

#if defined(__CUDA_ARCH_FEAT_SM121_ALL)
#define NVLLM_MULTIPLIES_NVFP4 1
#else
#define NVLLM_MULTIPLIES_NVFP4 0
#endif

/// A lane's part of 16 rows by 64 columns of E2M1, for lane 4 g + t: eight codes a word, the first lowest, from column 8 t of
/// row g, of row g + 8, then from column 32 + 8 t of both; and the four E4M3 scales of row g where t is even, of row g + 8
/// where it is odd, for sixteen columns each, the first lowest.
struct Nvfp4Left {
  std::uint32_t codes[4];
  std::uint32_t scales;
};

/// The same of 64 rows by 8 columns: from rows 8 t and 32 + 8 t of column g, and the four scales of that column.
struct Nvfp4Right {
  std::uint32_t codes[2];
  std::uint32_t scales;
};

/// What the instruction computes, by shuffles: the products of codes and their sums over sixteen columns are exact, and so
/// are those by both scales; the four of them are added to `d` in float, one after the other.
__device__ __noinline__ void multiply_nvfp4_by_hand(float (&d)[4], const Nvfp4Left& a, const Nvfp4Right& b) {
  constexpr unsigned kAll = 0xffffffffu;
  const auto code = [](std::uint32_t word, int index) {  // exponent and mantissa as a subnormal float, or the next ones
    const std::uint32_t bits = word >> (4 * index) & 15u;
    return __uint_as_float((bits & 8u) << 28 | (bits & 7u) << 22) * 0x1p126f;
  };
  const auto scale = [](std::uint32_t word, int index) { return __uint_as_float((word >> (8 * index) & 127u) << 20) * 0x1p120f; };
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll 1
  for (int block = 0; block < 4; ++block) {
    float sums[4] = {};
#pragma unroll 1
    for (int s = block % 2 * 2; s < block % 2 * 2 + 2; ++s) {
      std::uint32_t rows[2], columns[2];
      for (int i = 0; i < 2; ++i) {
        rows[i] = __shfl_sync(kAll, block < 2 ? a.codes[i] : a.codes[2 + i], g * 4 + s);
        columns[i] = __shfl_sync(kAll, block < 2 ? b.codes[0] : b.codes[1], (2 * t + i) * 4 + s);
      }
      for (int k = 0; k < 8; ++k) {
        for (int i = 0; i < 4; ++i) sums[i] += code(rows[i / 2], k) * code(columns[i % 2], k);
      }
    }
    for (int i = 0; i < 4; ++i) {
      const float of_row = scale(__shfl_sync(kAll, a.scales, g * 4 + i / 2), block);
      const float of_column = scale(__shfl_sync(kAll, b.scales, (2 * t + i % 2) * 4), block);
      d[i] += sums[i] * (of_row * of_column);
    }
  }
}

/// d += a · b, sums in float: rows g and g + 8 by columns 2 t and 2 t + 1, as mma.m16n8k16 has them.
///   Source: PTX ISA, mma.sync.aligned.m16n8k64 with .kind::mxf4nvf4, .block_scale.scale_vec::4X and scales of E4M3.
__device__ __forceinline__ void multiply_nvfp4_16x8x64(float (&d)[4], const Nvfp4Left& a, const Nvfp4Right& b) {
#if NVLLM_MULTIPLIES_NVFP4
  constexpr std::uint16_t kFirst = 0;  // byte and lanes of a quad whose scales count
  asm volatile(
      "mma.sync.aligned.kind::mxf4nvf4.block_scale.scale_vec::4X.m16n8k64.row.col.f32.e2m1.e2m1.f32.ue4m3 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3}, {%10}, {%12,%12}, {%11}, {%12,%12};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a.codes[0]), "r"(a.codes[1]), "r"(a.codes[2]), "r"(a.codes[3]), "r"(b.codes[0]), "r"(b.codes[1]), "r"(a.scales),
        "r"(b.scales), "h"(kFirst));
#else
  multiply_nvfp4_by_hand(d, a, b);
#endif
}

}  // namespace nvllm::cuda::ptx
