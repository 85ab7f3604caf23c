#pragma once

// Activations rounded to NVFP4, for products with both sides in it.

#include <cstdint>

#include "tensor/dtype.h"

struct CUstream_st;

namespace nvllm::cuda {

/// Rows of activations as NVFP4, on the device. A value is its code, times its block's scale, times its row's factor.
/// Columns are filled up with zeros to whole tiles of kTileCols, of which each has
///   codes [16 words]: eight columns a word, four bits each, the even ones first;
///   scales [2 words]: E4M3, of 16 columns each.
struct Nvfp4Rows {
  std::uint32_t* codes = nullptr;   ///< [rows, tiles, 16]
  std::uint32_t* scales = nullptr;  ///< [tiles, pairs of rows, 2, 2]: sixteen bytes are of two rows
  float* factors = nullptr;         ///< [rows]
  std::int64_t pairs = 0;

  /// What `rows` rows of `tiles` tiles take, factors included.
  [[nodiscard]] static std::int64_t bytes(std::int64_t rows, std::int64_t tiles);
  /// Lays them into memory that is aligned to 16 bytes.
  [[nodiscard]] static Nvfp4Rows in(void* memory, std::int64_t rows, std::int64_t tiles);
};

/// Rounds rows of BF16.
///   Shapes: x [rows, cols], rows `x_stride` apart, aligned to 16 bytes, both; cols a multiple of 16.
///   Rounding: a row's factor is its largest magnitude over 6 * 448, or 1 if that is 0; a block's scale is E4M3 of its largest
///     magnitude over 6 and the factor, a code E2M1 of a value over scale and factor; each by division in float, to nearest with ties
///     to even. The factor of a row that is not finite throughout is NaN.
///   Errors: Error(kDevice) if the launch fails.
void round_to_nvfp4(const Nvfp4Rows& out, const Bf16* x, std::int64_t x_stride, std::int64_t rows, std::int64_t cols, CUstream_st* stream);

}  // namespace nvllm::cuda
