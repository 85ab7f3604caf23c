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

std::int64_t up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit; }

/// The row of the file that row `r` of tile `tile` holds, or -1 for padding.
std::int64_t source_row(const Nvfp4Tiles& tiles, RowOrder order, std::int64_t tile, std::int64_t r) {
  if (order == RowOrder::kPlain) {
    const std::int64_t row = tile * kTileRows + r;
    return row < tiles.rows ? row : -1;
  }
  const std::int64_t half = tiles.rows / 2, pair = tile * (kTileRows / 2) + r / 16 * 8 + r % 8;
  return pair < half ? pair + (r % 16 >= 8 ? half : 0) : -1;
}

/// One code at its place in a lane's word: `slot` = 2 * (second pair of columns) + (row g + 8).
std::uint32_t place(std::uint32_t code, int slot, int half) {
  const std::uint32_t sign = code >> 3, magnitude = code & 7;
  std::uint32_t bits = 0;
  switch (slot) {
    case 0: bits = sign << 15 | magnitude << 6; break;
    case 1: bits = sign << 10 | magnitude << 3; break;
    case 2: bits = sign << 9 | magnitude; break;
    default: bits = sign << 11 | magnitude << 12; break;
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

}  // namespace

std::uint8_t wide_scale(std::uint8_t e4m3) {
  const float value = e4m3_to_float(e4m3);
  const int exponent = static_cast<int>(std::bit_cast<std::uint32_t>(value) >> 23) - 127;  // normal in float, always
  return static_cast<std::uint8_t>((exponent + 9) * 8 + (std::bit_cast<std::uint32_t>(value) >> 20 & 7));
}

Nvfp4Tiles pack_nvfp4_tiles(const MatrixSource& source, RowOrder order) {
  NVLLM_CHECK(source.format == MatrixFormat::kNvfp4 && source.cols % kBlockCols == 0);
  NVLLM_CHECK(order == RowOrder::kPlain || source.rows % 2 == 0);
  Nvfp4Tiles out{.rows = source.rows, .cols = source.cols, .row_tiles = up(source.rows, kTileRows), .col_tiles = up(source.cols, kTileCols), .bytes = {}};
  out.global_scale =
      source.global_scale_rule == GlobalScale::kMultiplies ? source.global_scale : 1.0f / source.global_scale;
  out.bytes.resize(static_cast<std::size_t>(out.row_tiles * out.col_tiles * kTileBytes));
  const auto* codes = reinterpret_cast<const std::uint8_t*>(source.data);
  const auto* scales = reinterpret_cast<const std::uint8_t*>(source.block_scales);
  for (std::int64_t tile = 0; tile < out.row_tiles; ++tile) {
    for (std::int64_t r = 0; r < kTileRows; ++r) {
      const std::int64_t from = source_row(out, order, tile, r);
      if (from < 0) continue;
      const Row row{codes + from * source.cols / 2, scales + from * source.cols / kBlockCols};
      const std::int64_t group = r / 16, quad = r % 8, low = r % 16 >= 8 ? 1 : 0;
      for (std::int64_t block = 0; block < source.cols / kBlockCols; ++block) {
        std::byte* cell = out.bytes.data() + (tile * out.col_tiles + block / 8) * kTileBytes;
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
  }
  return out;
}

}  // namespace nvllm::cuda
