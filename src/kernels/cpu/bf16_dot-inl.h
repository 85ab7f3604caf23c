#pragma once

// What the three files of intrinsics share. Included by them alone, on x86.

#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 warns of its own headers
#endif
#include <immintrin.h>

#include "kernels/cpu/bf16_dot.h"

#define NVLLM_BF16_DOT __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace nvllm::cpu {

NVLLM_BF16_DOT inline __m512bh load(const Bf16* from) { return (__m512bh)_mm512_loadu_si512(from); }

// Short loops over rows and tokens are unrolled early: late, g++ 12 keeps a copy of every sum on the stack.

/// Takes a tile's sums up, from zero or from where they were put down.
template <int kRows, int kTokens>
NVLLM_BF16_DOT inline void take_up(__m512 (&sum)[kRows][kTokens], DotSumsAre start, const float* from) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      sum[r][t] = start == DotSumsAre::kFresh ? _mm512_setzero_ps()
                                              : _mm512_load_ps(from + (r * kTokenBlock + t) * kDotLanes);
    }
  }
}

/// Puts them down.
template <int kRows, int kTokens>
NVLLM_BF16_DOT inline void put_down(const __m512 (&sum)[kRows][kTokens], float* to) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) _mm512_store_ps(to + (r * kTokenBlock + t) * kDotLanes, sum[r][t]);
  }
}

/// Multiplies one vector of each row of weights by the same columns of every row of x, `x_stride` apart.
template <int kRows, int kTokens>
NVLLM_BF16_DOT inline void multiply_vector(const __m512bh (&weights)[kRows], const Bf16* x, std::int64_t x_stride,
                                           __m512 (&sum)[kRows][kTokens]) {
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
    const __m512bh xs = load(x + t * x_stride);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r][t] = _mm512_dpbf16_ps(sum[r][t], weights[r], xs);
  }
}

}  // namespace nvllm::cpu
