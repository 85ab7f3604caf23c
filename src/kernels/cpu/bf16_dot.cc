#include "kernels/cpu/bf16_dot.h"

#include "base/check.h"

#if defined(__x86_64__)
#include "kernels/cpu/bf16_dot-inl.h"

namespace nvllm::cpu {

namespace {

constexpr std::int64_t kColBlock = dot_col_block(PackedFormat::kBf16Dot);
constexpr std::int64_t kPassBytes = 512 << 10;  // of x
constexpr int kRegisterTokens = 6;  // with four rows: 24 chains, and room for what they multiply

/// Adds kRows rows of weights by kTokens rows of x over `cols` columns to `sums`.
template <int kRows, int kTokens>
NVLLM_BF16_DOT void tile(const Bf16* w, std::int64_t stride, const Bf16* x, std::int64_t cols, DotSumsAre start, float* sums) {
  __m512 sum[kRows][kTokens];
  take_up(sum, start, sums);
  for (std::int64_t k = 0; k < cols; k += kDotCols) {
    __m512bh xs[kTokens];
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) xs[t] = load(x + t * cols + k);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512bh weights = load(w + r * stride + k);
      // The next block of columns: eight short stretches are too many for the processor's own foresight.
      _mm_prefetch(w + r * stride + k + kColBlock, _MM_HINT_T0);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) sum[r][t] = _mm512_dpbf16_ps(sum[r][t], weights, xs[t]);
    }
  }
  put_down(sum, sums);
}

using Tile = void (*)(const Bf16*, std::int64_t, const Bf16*, std::int64_t, DotSumsAre, float*);

constexpr Tile kTiles[kTileRows][kRegisterTokens] = {
    {tile<1, 1>, tile<1, 2>, tile<1, 3>, tile<1, 4>, tile<1, 5>, tile<1, 6>},
    {tile<2, 1>, tile<2, 2>, tile<2, 3>, tile<2, 4>, tile<2, 5>, tile<2, 6>},
    {tile<3, 1>, tile<3, 2>, tile<3, 3>, tile<3, 4>, tile<3, 5>, tile<3, 6>},
    {tile<4, 1>, tile<4, 2>, tile<4, 3>, tile<4, 4>, tile<4, 5>, tile<4, 6>}};

}  // namespace

NVLLM_BF16_DOT float sum_of_dots(const float* lanes) {
  const __m256 eight = _mm256_add_ps(_mm256_load_ps(lanes), _mm256_load_ps(lanes + 8));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

NVLLM_BF16_DOT void finish_dots(DotSums& sums, std::int64_t first_row, std::int64_t rows, std::int64_t first_token,
                                std::int64_t tokens, float scale, const Sink& sink) {
  // Row by row within a token: neighbours of a row of results are written together.
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t r = 0; r < rows; ++r) sink.put(first_token + t, first_row + r, sum_of_dots(sums.at(r, t)) * scale);
  }
}

bool has_bf16_dot() {
  static const bool has = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw");
  return has;
}

NVLLM_BF16_DOT float bf16_dots(const Bf16* w, const Bf16* x, std::int64_t vectors, std::int64_t passes) {
  constexpr int kChains = 16;
  __m512 sums[kChains];
#pragma GCC unroll 16
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (std::int64_t pass = 0; pass < passes; ++pass) {
    const __m512bh weights = load(w + pass % 8 * kDotCols);
    for (std::int64_t i = 0; i < vectors; i += kChains) {
#pragma GCC unroll 16
      for (int c = 0; c < kChains; ++c) sums[c] = _mm512_dpbf16_ps(sums[c], weights, load(x + (i + c) * kDotCols));
    }
  }
  __m512 sum = sums[0];
#pragma GCC unroll 16
  for (int c = 1; c < kChains; ++c) sum = _mm512_add_ps(sum, sums[c]);
  alignas(64) float lanes[kDotLanes];
  _mm512_store_ps(lanes, sum);
  return sum_of_dots(lanes);
}

void bf16_dot_block(const PackedMatrix& w, std::int64_t row, std::int64_t rows, const Bf16* x, std::int64_t all_tokens,
                    std::int64_t first, std::int64_t tokens, const Sink& sink) {
  DotSums sums;
  const std::int64_t stride = w.padded_cols;
  for (std::int64_t k = 0; k < stride; k += kColBlock) {
    const std::int64_t cols = std::min(kColBlock, stride - k);
    const Bf16* block = x + k * all_tokens + first * cols;
    const DotSumsAre start = k == 0 ? DotSumsAre::kFresh : DotSumsAre::kCarried;
    for (std::int64_t r = 0; r < rows; r += kTileRows) {
      const std::int64_t tile_rows = std::min(kTileRows, rows - r);
      const Bf16* weights = w.codes.as<Bf16>() + (row + r) * stride + k;
      in_even_pieces(tokens, kRegisterTokens, [&](std::int64_t t, std::int64_t count) {
        kTiles[tile_rows - 1][count - 1](weights, stride, block + t * cols, cols, start, sums.at(r, t));
      });
    }
  }
  finish_dots(sums, row, rows, first, tokens, 1.0f, sink);
}

void multiply_dot(const PackedMatrix& w, const std::byte* expanded, std::int64_t tokens, Share::Range rows, const Sink& sink) {
  const auto* x = reinterpret_cast<const Bf16*>(expanded);
  const bool packed = w.format == PackedFormat::kNvfp4Dot;
  const std::int64_t end = std::min(rows.end, w.rows);
  if (tokens == 1 && packed) return nvfp4_dot_one(w, x, {rows.begin, end}, sink);
  const auto product = packed ? nvfp4_dot_block : w.format == PackedFormat::kFp8Dot ? fp8_dot_block : bf16_dot_block;
  // As many blocks of tokens as second-level cache holds share one pass of the weights.
  const std::int64_t pass = std::max<std::int64_t>(1, kPassBytes / (2 * kTokenBlock * w.padded_cols)) * kTokenBlock;
  for (std::int64_t begin = 0; begin < tokens; begin += pass) {
    for (std::int64_t row = rows.begin; row < end; row += kDotRowBlock) {
      for (std::int64_t first = begin; first < std::min(begin + pass, tokens); first += kTokenBlock) {
        product(w, row, std::min(kDotRowBlock, end - row), x, tokens, first, std::min(kTokenBlock, tokens - first), sink);
      }
    }
  }
}

}  // namespace nvllm::cpu

#else

namespace nvllm::cpu {

bool has_bf16_dot() { return false; }

float bf16_dots(const Bf16*, const Bf16*, std::int64_t, std::int64_t) {
  NVLLM_CHECK(false && "no BF16 dot on this processor");
  return 0;
}

void multiply_dot(const PackedMatrix&, const std::byte*, std::int64_t, Share::Range, const Sink&) {
  NVLLM_CHECK(false && "no BF16 dot on this processor");
}

}  // namespace nvllm::cpu

#endif

namespace nvllm::cpu {

void expand_dot(std::byte* expanded, ConstRows x, PackedFormat format, std::int64_t padded_cols, Share& share) {
  const std::int64_t col_block = dot_col_block(format);
  // A tile's rows lie together, where whole rows would share few sets of first-level cache.
  const Share::Range rows = share.part(x.rows);
  for (std::int64_t t = rows.begin; t < rows.end; ++t) {
    for (std::int64_t k = 0; k < padded_cols; k += col_block) {
      const std::int64_t cols = std::min(col_block, padded_cols - k), have = std::clamp<std::int64_t>(x.cols - k, 0, cols);
      auto* to = reinterpret_cast<Bf16*>(expanded) + k * x.rows + t * cols;
      std::fill(std::copy_n(x.row(t) + std::min(k, x.cols), have, to), to + cols, Bf16{0});
    }
  }
}

}  // namespace nvllm::cpu
