#include "kernels/cpu/bf16_dot.h"

#include "base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define NVLLM_BF16_DOT __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace nvllm::cpu {

namespace {

NVLLM_BF16_DOT inline __m512bh load(const Bf16* from) { return (__m512bh)_mm512_loadu_si512(from); }

NVLLM_BF16_DOT inline float sum_of(__m512 v) {
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, v);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

template <int kRows, int kTokens>
NVLLM_BF16_DOT void tile(const Bf16* w, const Bf16* x, std::int64_t cols, float* sums) {
  __m512 even[kRows][kTokens], odd[kRows][kTokens];
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) even[r][t] = odd[r][t] = _mm512_setzero_ps();
  }
  std::int64_t k = 0;
  for (; k + 64 <= cols; k += 64) {
    for (int r = 0; r < kRows; ++r) {
      const __m512bh we = load(w + r * cols + k), wo = load(w + r * cols + k + 32);
      for (int t = 0; t < kTokens; ++t) {
        even[r][t] = _mm512_dpbf16_ps(even[r][t], we, load(x + t * cols + k));
        odd[r][t] = _mm512_dpbf16_ps(odd[r][t], wo, load(x + t * cols + k + 32));
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) {
      if (k < cols) even[r][t] = _mm512_dpbf16_ps(even[r][t], load(w + r * cols + k), load(x + t * cols + k));
      sums[r * kBf16DotTokens + t] = sum_of(_mm512_add_ps(even[r][t], odd[r][t]));
    }
  }
}

using Tile = void (*)(const Bf16*, const Bf16*, std::int64_t, float*);

constexpr Tile kTiles[kBf16DotRows][kBf16DotTokens] = {{tile<1, 1>, tile<1, 2>, tile<1, 3>},
                                                       {tile<2, 1>, tile<2, 2>, tile<2, 3>},
                                                       {tile<3, 1>, tile<3, 2>, tile<3, 3>},
                                                       {tile<4, 1>, tile<4, 2>, tile<4, 3>}};

}  // namespace

bool has_bf16_dot() {
  static const bool has = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw");
  return has;
}

void bf16_dot_tile(const Bf16* w, int rows, const Bf16* x, int tokens, std::int64_t cols, float* sums) {
  kTiles[rows - 1][tokens - 1](w, x, cols, sums);
}

}  // namespace nvllm::cpu

#else

namespace nvllm::cpu {

bool has_bf16_dot() { return false; }

void bf16_dot_tile(const Bf16*, int, const Bf16*, int, std::int64_t, float*) {
  NVLLM_CHECK(false && "no BF16 dot on this processor");
}

}  // namespace nvllm::cpu

#endif
