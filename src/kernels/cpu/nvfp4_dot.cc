// NVFP4 weights become BF16 vectors in registers, by a table of sixteen numbers for each code of a
// block scale, and are multiplied at once by every row of x that registers can hold sums for.

#include "kernels/cpu/bf16_dot.h"

#if defined(__x86_64__)
#include "kernels/cpu/bf16_dot-inl.h"

namespace nvllm::cpu {

namespace {

constexpr std::int64_t kColBlock = dot_col_block(PackedFormat::kNvfp4Dot);
constexpr int kRegisterTokens = 6;  // by four rows: 24 chains of dots

constexpr int kKeptWordsTokens = 4;  // so many leave registers for the codes: g++ must be told, or loads them four times
constexpr std::int64_t kAheadBytes = 2048;  // how far before the weights in use others are called in

/// The BF16 numbers of the sixteen codes under every block scale.
struct WeightTable {
  alignas(64) Bf16 values[128][16];

  WeightTable() {
    for (int scale = 0; scale < 128; ++scale) {
      for (int code = 0; code < 16; ++code) {
        values[scale][code] = to_bf16(e2m1_to_float(static_cast<std::uint8_t>(code)) *
                                      e4m3_to_float(static_cast<std::uint8_t>(scale)));
      }
    }
  }
};

const WeightTable& weight_table() {
  static const WeightTable table;
  return table;
}

/// Columns [32 i, 32 i + 32) of one row and group: the i-th nibbles of `words`, each looked up in its
/// block's part of the table.
template <int i>
NVLLM_BF16_DOT inline __m512bh weights_of(const WeightTable& table, __m512i words, const std::uint8_t* scales) {
  // The second block of a vector finds its numbers in the upper half.
  const __m512i upper = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(16), 1);
  const __m512i nibbles = i == 0 ? words : _mm512_srli_epi16(words, 4 * i);
  const __m512i index = _mm512_ternarylogic_epi32(nibbles, _mm512_set1_epi16(15), upper, 0xea);  // (a & b) | c
  const __m256i first = _mm256_load_si256(reinterpret_cast<const __m256i*>(table.values[scales[2 * i]]));
  const __m256i second = _mm256_load_si256(reinterpret_cast<const __m256i*>(table.values[scales[2 * i + 1]]));
  const __m512i numbers = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
  return (__m512bh)_mm512_permutexvar_epi16(index, numbers);
}

/// A tile's codes [groups, kTileRows, 64] and scales [groups, kTileRows, 8] from one group on.
struct TileWeights {
  const std::uint8_t* codes;
  const std::uint8_t* scales;

  TileWeights(const PackedMatrix& w, std::int64_t row, std::int64_t group) {
    const std::int64_t cell = (row / kTileRows * (w.padded_cols / kGroupCols) + group) * kTileRows + row % kTileRows;
    codes = w.codes.as<std::uint8_t>() + cell * 64;
    scales = w.scales.as<std::uint8_t>() + cell * 8;
  }
};

/// How far ahead of the codes in use memory is read, for the two tiles that pass together: what a tile
/// needs next lies behind the other tile, not in it.
struct ReadAhead {
  std::int64_t tile_bytes, bytes, until_cols;

  explicit ReadAhead(std::int64_t cols)
      : tile_bytes(cols / kGroupCols * kTileRows * 64),
        bytes(kAheadBytes + kAheadBytes / tile_bytes * tile_bytes),
        until_cols((tile_bytes - kAheadBytes % tile_bytes) / (kTileRows * 64) * kGroupCols) {}

  std::int64_t at(std::int64_t col) const { return col < until_cols ? bytes : bytes + tile_bytes; }
};

/// The i-th vector of each of a tile's rows by kTokens rows of x.
template <int i, int kTokens>
NVLLM_BF16_DOT inline void multiply_nibbles(const WeightTable& table, const __m512i (&words)[kTileRows],
                                           const std::uint8_t* scales, const Bf16* x, std::int64_t x_stride,
                                           __m512 (&sums)[kTileRows][kTokens]) {
  __m512bh weights[kTileRows];
#pragma GCC unroll 8
  for (int r = 0; r < kTileRows; ++r) weights[r] = weights_of<i>(table, words[r], scales + r * 8);
  multiply_vector(weights, x + i * kDotCols, x_stride, sums);
}

/// Adds one tile by kTokens rows of x over `cols` columns to `sums`; the codes `ahead` bytes further are called in.
template <int kTokens>
NVLLM_BF16_DOT void tile(TileWeights w, std::int64_t ahead, const Bf16* x, std::int64_t cols, DotSumsAre start, float* sums) {
  const WeightTable& table = weight_table();
  __m512 sum[kTileRows][kTokens];
  take_up(sum, start, sums);
  for (std::int64_t k = 0; k < cols; k += kGroupCols, w.codes += kTileRows * 64, w.scales += kTileRows * 8) {
    __m512i words[kTileRows];
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r) {
      words[r] = _mm512_loadu_si512(w.codes + r * 64);
      if constexpr (kTokens <= kKeptWordsTokens) asm("" : "+v"(words[r]));
      _mm_prefetch(w.codes + r * 64 + ahead, _MM_HINT_T0);
    }
    _mm_prefetch(w.scales + ahead / 8, _MM_HINT_T0);
    multiply_nibbles<0>(table, words, w.scales, x + k, cols, sum);
    multiply_nibbles<1>(table, words, w.scales, x + k, cols, sum);
    multiply_nibbles<2>(table, words, w.scales, x + k, cols, sum);
    multiply_nibbles<3>(table, words, w.scales, x + k, cols, sum);
  }
  put_down(sum, sums);
}

using Tile = void (*)(TileWeights, std::int64_t, const Bf16*, std::int64_t, DotSumsAre, float*);

constexpr Tile kTiles[kRegisterTokens] = {tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};

/// Eight rows of two tiles by one row of x: x passes by half as often as with one tile.
NVLLM_BF16_DOT void one_token(const PackedMatrix& w, const Bf16* x, std::int64_t row, std::int64_t rows, const Sink& sink) {
  const WeightTable& table = weight_table();
  const ReadAhead read_ahead(w.padded_cols);
  TileWeights tiles[2] = {TileWeights(w, row, 0), TileWeights(w, rows > kTileRows ? row + kTileRows : row, 0)};
  __m512 sum[2][kTileRows][1];
#pragma GCC unroll 2
  for (auto& tile_sum : sum) {
#pragma GCC unroll 4
    for (auto& row_sum : tile_sum) row_sum[0] = _mm512_setzero_ps();
  }
  for (std::int64_t k = 0; k < w.padded_cols; k += kGroupCols) {
    const std::int64_t ahead = read_ahead.at(k);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      TileWeights& from = tiles[half];
      __m512i words[kTileRows];
#pragma GCC unroll 4
      for (int r = 0; r < kTileRows; ++r) {
        words[r] = _mm512_loadu_si512(from.codes + r * 64);
        asm("" : "+v"(words[r]));
        _mm_prefetch(from.codes + r * 64 + ahead, _MM_HINT_T0);
      }
      multiply_nibbles<0>(table, words, from.scales, x + k, 0, sum[half]);
      multiply_nibbles<1>(table, words, from.scales, x + k, 0, sum[half]);
      multiply_nibbles<2>(table, words, from.scales, x + k, 0, sum[half]);
      multiply_nibbles<3>(table, words, from.scales, x + k, 0, sum[half]);
      from.codes += kTileRows * 64;
      from.scales += kTileRows * 8;
    }
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    alignas(64) float lanes[kDotLanes];
    _mm512_store_ps(lanes, sum[r / kTileRows][r % kTileRows][0]);
    sink.put(0, row + r, sum_of_dots(lanes) * w.global_scale);
  }
}

}  // namespace

void nvfp4_dot_one(const PackedMatrix& w, const Bf16* x, Share::Range rows, const Sink& sink) {
  for (std::int64_t row = rows.begin; row < rows.end; row += kDotRowBlock) {
    one_token(w, x, row, std::min(kDotRowBlock, rows.end - row), sink);
  }
}

void nvfp4_dot_block(const PackedMatrix& w, std::int64_t row, std::int64_t rows, const Bf16* x, std::int64_t all_tokens,
                     std::int64_t first, std::int64_t tokens, const Sink& sink) {
  DotSums sums;
  const ReadAhead read_ahead(w.padded_cols);
  for (std::int64_t k = 0; k < w.padded_cols; k += kColBlock) {
    const std::int64_t cols = std::min(kColBlock, w.padded_cols - k);
    const Bf16* block = x + k * all_tokens + first * cols;
    const DotSumsAre start = k == 0 ? DotSumsAre::kFresh : DotSumsAre::kCarried;
    const std::int64_t ahead = read_ahead.at(k);
    in_even_pieces(tokens, kRegisterTokens, [&](std::int64_t t, std::int64_t count) {
      for (std::int64_t r = 0; r < rows; r += kTileRows) {  // padding rows are zeros, computed with the others
        kTiles[count - 1](TileWeights(w, row + r, k / kGroupCols), ahead, block + t * cols, cols, start, sums.at(r, t));
      }
    });
  }
  finish_dots(sums, row, rows, first, tokens, w.global_scale, sink);
}

}  // namespace nvllm::cpu

#endif
