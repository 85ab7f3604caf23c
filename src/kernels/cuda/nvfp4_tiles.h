#pragma once

// NVFP4 weights in the order in which tensor cores take them: made once at load, on the host, so it
// is plain C++ and tested without a device.
//
// A tile is two groups of 16 rows by 128 columns, eight blocks of 16 columns: 2048 bytes of codes, then 256 of
// scales. Lane l of a warp (quad g = l / 4, place t = l % 4) owns rows g and g + 8 of each group and, in each block,
// columns 4t ... 4t + 3: one 32-bit word of eight codes. Codes lie as [2 halves of the blocks, 2 groups, 32 lanes,
// 4 words], scales as [2 groups, 8 quads, 16 bytes].
// Within a word the codes lie where few instructions turn them into BF16 (unpack.cuh); the column's lowest bit
// says which half of the word:
//   sign 15, magnitude  8:6   row g,     columns 4t, 4t + 1
//   sign 12, magnitude  5:3   row g + 8, columns 4t, 4t + 1
//   sign  9, magnitude  2:0   row g,     columns 4t + 2, 4t + 3
//   sign 13, exponent 11:10, mantissa 14   row g + 8, columns 4t + 2, 4t + 3
// Scales are re-encoded with five exponent bits, so that subnormal ones need no care on the device:
// byte = (floor(log2 scale) + 9) * 8 + mantissa, exact for every E4M3 scale but zero, whose block gets
// zero codes instead. Of a quad's sixteen bytes, four are for each two blocks b and b + 1:
// row g of b, row g of b + 1, row g + 8 of b, row g + 8 of b + 1.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/matrix_source.h"

namespace nvllm::cuda {

inline constexpr std::int64_t kTileRows = 32;
inline constexpr std::int64_t kTileCols = 128;
inline constexpr std::int64_t kTileCodeBytes = 2048;
inline constexpr std::int64_t kTileScaleBytes = 256;
inline constexpr std::int64_t kTileBytes = kTileCodeBytes + kTileScaleBytes;

/// How rows of the file are laid into tiles.
enum class RowOrder {
  kPlain,
  kGateUp,  ///< two equal parts, gate and up: row i of each becomes rows g and g + 8 of one group
};

/// One of the matrices that tiles hold.
struct Nvfp4Part {
  std::int64_t rows = 0;
  float global_scale = 1;  ///< multiplies
};

/// One or more matrices of equally many columns in tile order, still in host memory.
///   Layout: [row_tiles, col_tiles, kTileBytes]. kPlain: the parts one after another, each filled up to whole tiles.
struct Nvfp4Tiles {
  std::vector<Nvfp4Part> parts;
  RowOrder order = RowOrder::kPlain;
  std::int64_t cols = 0;
  std::int64_t row_tiles = 0, col_tiles = 0;
  std::vector<std::byte> bytes;
};

/// Packs whole matrices; rows and columns that fill the last tiles are zeros.
///   Errors: Error(kBadFile) for a scale that is NaN. A negative scale turns the signs of its codes.
[[nodiscard]] Nvfp4Tiles pack_nvfp4_tiles(std::span<const MatrixSource> parts, RowOrder order);

/// Row tiles of a part of `rows` rows.
[[nodiscard]] constexpr std::int64_t row_tiles_of(std::int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }
/// Row tiles of all parts.
[[nodiscard]] std::int64_t row_tiles_of(std::span<const Nvfp4Part> parts, RowOrder order);

/// The byte that stands for an E4M3 scale; undefined for zero.
[[nodiscard]] std::uint8_t wide_scale(std::uint8_t e4m3);

}  // namespace nvllm::cuda
