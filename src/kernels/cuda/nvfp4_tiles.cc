#include "kernels/cuda/nvfp4_tiles.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/error.h"
#include "tensor/dtype.h"

namespace nvllm::cuda {

namespace {

constexpr std::int64_t kBlockCols = 16;
constexpr std::uint8_t kSign = 0x80, kNan = 0x7f;

constexpr std::int64_t up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit; }

/// The row of its part that row `r` of the part's tile `tile` holds, or -1 for padding; kGateUp: rows 8 to 15 of a
/// group are of the second part.
std::int64_t source_row(std::int64_t rows, RowOrder order, std::int64_t tile, std::int64_t r) {
  const std::int64_t row = order == RowOrder::kPlain ? tile * kTileRows + r : tile * (kTileRows / 2) + r / 16 * 8 + r % 8;
  return row < rows ? row : -1;
}

/// One code at its place in a lane's word: `slot` = 2 * (second pair of columns) + (row g + 8).
std::uint32_t place(std::uint32_t code, int slot, int half) {
  const std::uint32_t sign = code >> 3, magnitude = code & 7;
  std::uint32_t bits = 0;
  switch (slot) {
    case 0: bits = sign << 15 | magnitude << 6; break;
    case 1: bits = sign << 12 | magnitude << 3; break;
    case 2: bits = sign << 9 | magnitude; break;
    default: bits = sign << 13 | magnitude >> 1 << 10 | (magnitude & 1) << 14; break;
  }
  return bits << (16 * half);
}

struct Row {
  const std::uint8_t* codes = nullptr;
  const std::uint8_t* scales = nullptr;
};

std::uint32_t code_of(const Row& row, std::int64_t col) {
  const std::uint8_t scale = row.scales[col / kBlockCols];
  if ((scale & ~kSign) == 0) return 0;
  const std::uint32_t code = row.codes[col / 2] >> (col % 2 * 4) & 15u;
  return (scale & kSign) != 0 ? code ^ 8u : code;
}

std::uint8_t scale_of(const MatrixSource& source, const Row& row, std::int64_t block) {
  const std::uint8_t scale = row.scales[block] & ~kSign;
  if (scale == kNan) {
    throw Error(ErrorKind::kBadFile, fmt::format("tensor {}: a block scale is NaN; quantise the checkpoint again", source.name));
  }
  return scale == 0 ? 0 : wide_scale(scale);
}

/// Puts row `from` of a matrix, or nothing if it is -1, at row `r` of a line of tiles.
void pack_row(std::byte* tiles, const MatrixSource& source, std::int64_t from, std::int64_t r) {
  if (from < 0) return;
  const auto* codes = reinterpret_cast<const std::uint8_t*>(source.data);
  const auto* scales = reinterpret_cast<const std::uint8_t*>(source.block_scales);
  const Row row{codes + from * source.cols / 2, scales + from * source.cols / kBlockCols};
  const std::int64_t group = r / 16, quad = r % 8, low = r % 16 >= 8 ? 1 : 0;
  for (std::int64_t block = 0; block < source.cols / kBlockCols; ++block) {
    std::byte* cell = tiles + block / 8 * kTileBytes;
    const std::int64_t step = block % 8;
    cell[kTileCodeBytes + group * 128 + quad * 16 + step / 2 * 4 + low * 2 + step % 2] = std::byte{scale_of(source, row, block)};
    for (std::int64_t c = 0; c < kBlockCols; ++c) {
      std::byte* at = cell + ((step / 4 * 2 + group) * 32 + quad * 4 + c / 4) * 16 + step % 4 * 4;
      std::uint32_t word;
      std::memcpy(&word, at, 4);
      word |= place(code_of(row, block * kBlockCols + c), static_cast<int>(c / 2 % 2 * 2 + low), static_cast<int>(c % 2));
      std::memcpy(at, &word, 4);
    }
  }
}

}  // namespace

std::uint8_t wide_scale(std::uint8_t e4m3) {
  const float value = e4m3_to_float(e4m3);
  const int exponent = static_cast<int>(std::bit_cast<std::uint32_t>(value) >> 23) - 127;  // normal in float, always
  return static_cast<std::uint8_t>((exponent + 9) * 8 + (std::bit_cast<std::uint32_t>(value) >> 20 & 7));
}

std::int64_t row_tiles_of(std::span<const Nvfp4Part> parts, RowOrder order) {
  if (order == RowOrder::kGateUp) return row_tiles_of(2 * parts[0].rows);
  std::int64_t tiles = 0;
  for (const Nvfp4Part& part : parts) tiles += row_tiles_of(part.rows);
  return tiles;
}

Nvfp4Tiles pack_nvfp4_tiles(std::span<const MatrixSource> parts, RowOrder order) {
  NVLLM_CHECK(order == RowOrder::kPlain || (parts.size() == 2 && parts[0].rows == parts[1].rows));
  Nvfp4Tiles out{.parts = {}, .order = order, .cols = parts[0].cols, .row_tiles = 0, .col_tiles = up(parts[0].cols, kTileCols), .bytes = {}};
  for (const MatrixSource& part : parts) {
    NVLLM_CHECK(part.format == MatrixFormat::kNvfp4 && part.cols % kBlockCols == 0 && part.cols == out.cols);
    out.parts.push_back({part.rows, part.global_scale_rule == GlobalScale::kMultiplies ? part.global_scale : 1.0f / part.global_scale});
  }
  out.row_tiles = row_tiles_of(out.parts, order);
  out.bytes.resize(static_cast<std::size_t>(out.row_tiles * out.col_tiles * kTileBytes));
  std::byte* tile = out.bytes.data();
  const std::int64_t row_bytes = out.col_tiles * kTileBytes;
  if (order == RowOrder::kGateUp) {
    for (std::int64_t i = 0; i < out.row_tiles; ++i, tile += row_bytes) {
      for (std::int64_t r = 0; r < kTileRows; ++r) pack_row(tile, parts[r % 16 >= 8 ? 1 : 0], source_row(parts[0].rows, order, i, r), r);
    }
    return out;
  }
  for (const MatrixSource& part : parts) {
    for (std::int64_t i = 0; i < row_tiles_of(part.rows); ++i, tile += row_bytes) {
      for (std::int64_t r = 0; r < kTileRows; ++r) pack_row(tile, part, source_row(part.rows, order, i, r), r);
    }
  }
  return out;
}

}  // namespace nvllm::cuda
