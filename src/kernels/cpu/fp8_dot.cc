// FP8 weights become BF16 vectors in registers: an E4M3 number is a BF16 number. Each group of 128
// columns is summed apart from zero, and enters the row's sum through its scale, so that every layout
// of scales (per tensor, row or block) is one arithmetic.

#include "kernels/cpu/bf16_dot.h"

#if defined(__x86_64__)
#include "kernels/cpu/bf16_dot-inl.h"

namespace nvllm::cpu {

namespace {

constexpr std::int64_t kColBlock = dot_col_block(PackedFormat::kFp8Dot);
constexpr int kRows = 2;            // at a time: every weight costs as much to widen as eight dots,
constexpr int kRegisterTokens = 6;  // so as many tokens as registers hold two sums for

/// 32 codes as BF16: the exponent moves by 120, and the eight subnormals come from a table.
NVLLM_BF16_DOT inline __m512bh widen(const std::uint8_t* codes) {
  // m / 512 for m = 0 to 7.
  const __m512i subnormals = _mm512_broadcast_i32x4(
      _mm_setr_epi16(0x0000, 0x3b00, 0x3b80, 0x3bc0, 0x3c00, 0x3c20, 0x3c40, 0x3c60));
  const __m512i words = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
  const __m512i magnitude = _mm512_and_si512(words, _mm512_set1_epi16(0x7f));
  const __mmask32 is_subnormal = _mm512_cmplt_epu16_mask(magnitude, _mm512_set1_epi16(8));
  const __m512i normal = _mm512_add_epi16(_mm512_slli_epi16(magnitude, 4), _mm512_set1_epi16(120 << 7));
  const __m512i value = _mm512_mask_permutexvar_epi16(normal, is_subnormal, magnitude, subnormals);
  const __m512i shifted = _mm512_slli_epi16(words, 8);
  return (__m512bh)_mm512_ternarylogic_epi32(shifted, _mm512_set1_epi16(static_cast<short>(0x8000)), value,
                                             0xea);  // (a & b) | c
}

/// Adds kRowCount rows of weights by kTokens rows of x over `cols` columns to `sums`; `scales` [rows, groups].
template <int kRowCount, int kTokens>
NVLLM_BF16_DOT void tile(const std::uint8_t* w, std::int64_t stride, const float* scales, const Bf16* x, std::int64_t cols,
                         DotSumsAre start, float* sums) {
  const std::int64_t scale_stride = stride / kGroupCols;
  __m512 sum[kRowCount][kTokens];
  take_up(sum, start, sums);
  for (std::int64_t k = 0; k < cols; k += kGroupCols) {
    __m512 group[kRowCount][kTokens];
    take_up(group, DotSumsAre::kFresh, nullptr);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const std::int64_t at = k + i * kDotCols;
      __m512bh weights[kRowCount];
#pragma GCC unroll 8
      for (int r = 0; r < kRowCount; ++r) weights[r] = widen(w + r * stride + at);
      multiply_vector(weights, x + at, cols, group);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRowCount; ++r) {
      _mm_prefetch(w + r * stride + k + kColBlock, _MM_HINT_T0);
      _mm_prefetch(w + r * stride + k + kColBlock + 64, _MM_HINT_T0);
      const __m512 scale = _mm512_set1_ps(scales[r * scale_stride + k / kGroupCols]);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) sum[r][t] = _mm512_fmadd_ps(group[r][t], scale, sum[r][t]);
    }
  }
  put_down(sum, sums);
}

using Tile = void (*)(const std::uint8_t*, std::int64_t, const float*, const Bf16*, std::int64_t, DotSumsAre, float*);

constexpr Tile kTiles[kRows][kRegisterTokens] = {
    {tile<1, 1>, tile<1, 2>, tile<1, 3>, tile<1, 4>, tile<1, 5>, tile<1, 6>},
    {tile<2, 1>, tile<2, 2>, tile<2, 3>, tile<2, 4>, tile<2, 5>, tile<2, 6>}};

}  // namespace

void fp8_dot_block(const PackedMatrix& w, std::int64_t row, std::int64_t rows, const Bf16* x, std::int64_t all_tokens,
                   std::int64_t first, std::int64_t tokens, const Sink& sink) {
  DotSums sums;
  const std::int64_t stride = w.padded_cols, groups = stride / kGroupCols;
  for (std::int64_t k = 0; k < stride; k += kColBlock) {
    const std::int64_t cols = std::min(kColBlock, stride - k);
    const Bf16* block = x + k * all_tokens + first * cols;
    const DotSumsAre start = k == 0 ? DotSumsAre::kFresh : DotSumsAre::kCarried;
    for (std::int64_t r = 0; r < rows; r += kRows) {
      const std::int64_t count = std::min<std::int64_t>(kRows, rows - r);
      const std::uint8_t* weights = w.codes.as<std::uint8_t>() + (row + r) * stride + k;
      const float* scales = w.scales.as<float>() + (row + r) * groups + k / kGroupCols;
      in_even_pieces(tokens, kRegisterTokens, [&](std::int64_t t, std::int64_t piece) {
        kTiles[count - 1][piece - 1](weights, stride, scales, block + t * cols, cols, start, sums.at(r, t));
      });
    }
  }
  finish_dots(sums, row, rows, first, tokens, 1.0f, sink);
}

}  // namespace nvllm::cpu

#endif
