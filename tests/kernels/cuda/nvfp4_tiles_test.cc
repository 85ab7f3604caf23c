#include "kernels/cuda/nvfp4_tiles.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "base/error.h"
#include "support/random_matrix.h"
#include "tensor/dtype.h"

namespace nvllm::cuda {
namespace {

struct Nvfp4File {
  std::vector<std::uint8_t> codes, scales;
  MatrixSource source;

  Nvfp4File(std::int64_t rows, std::int64_t cols) : codes(static_cast<std::size_t>(rows * cols / 2)), scales(static_cast<std::size_t>(rows * cols / 16), 0x38) {
    source.name = "w";
    source.rows = rows;
    source.cols = cols;
    source.format = MatrixFormat::kNvfp4;
    source.data = reinterpret_cast<const std::byte*>(codes.data());
    source.block_scales = reinterpret_cast<const std::byte*>(scales.data());
  }
};

/// The weight at (row, col) of a group's tile as the header of nvfp4_tiles.h lays it out, in plain arithmetic.
float weight_at(const Nvfp4Tiles& tiles, std::int64_t row, std::int64_t col) {
  const std::byte* tile = tiles.bytes.data() + (row / 32 * tiles.col_tiles + col / 128) * kTileBytes;
  const std::int64_t group = row % 32 / 16, low = row % 16 / 8, quad = row % 8, block = col % 128 / 16, c = col % 16;
  std::uint32_t word;
  std::memcpy(&word, tile + ((block / 4 * 2 + group) * 32 + quad * 4 + c / 4) * 16 + block % 4 * 4, 4);
  const std::uint32_t half = word >> (16 * (c % 2));
  // [columns 2, 3][row g + 8]; where the mantissa and the two bits of the exponent lie.
  constexpr int kSignAt[2][2] = {{15, 12}, {9, 13}}, kMantissaAt[2][2] = {{6, 3}, {0, 14}}, kExponentAt[2][2] = {{7, 4}, {1, 10}};
  const int pair = c / 2 % 2;
  const std::uint32_t sign = half >> kSignAt[pair][low] & 1;
  const std::uint32_t magnitude = (half >> kExponentAt[pair][low] & 3) << 1 | (half >> kMantissaAt[pair][low] & 1);
  const auto byte = static_cast<int>(tile[kTileCodeBytes + group * 128 + quad * 16 + block / 2 * 4 + low * 2 + block % 2]);
  const float scale = std::ldexp(1.0f + static_cast<float>(byte % 8) / 8, byte / 8 - 9);
  return e2m1_to_float(static_cast<std::uint8_t>(sign << 3 | magnitude)) * scale;
}

TEST(Nvfp4Tiles, HoldEveryCodeUnderEveryScaleExactly) {
  Nvfp4File file(127, 256);
  for (std::int64_t row = 0; row < 127; ++row) {
    for (std::int64_t col = 0; col < 256; ++col) {
      const auto code = static_cast<std::uint8_t>((col + col / 16) % 16);
      file.codes[static_cast<std::size_t>((row * 256 + col) / 2)] |= static_cast<std::uint8_t>(code << (col % 2 * 4));
    }
    for (std::int64_t block = 0; block < 16; ++block) file.scales[static_cast<std::size_t>(row * 16 + block)] = static_cast<std::uint8_t>(row);
  }
  const Nvfp4Tiles tiles = pack_nvfp4_tiles({&file.source, 1}, RowOrder::kPlain);
  EXPECT_EQ(tiles.row_tiles, 4);
  std::vector<float> want(256);
  for (std::int64_t row = 0; row < 127; ++row) {
    dequantise_row(file.source, row, want);
    for (std::int64_t col = 0; col < 256; ++col) ASSERT_EQ(weight_at(tiles, row, col), want[static_cast<std::size_t>(col)]) << row << ", " << col;
  }
  for (std::int64_t col = 0; col < 256; ++col) EXPECT_EQ(weight_at(tiles, 127, col), 0) << "padding";
}

TEST(Nvfp4Tiles, PutRowsOfGateAndUpSideBySide) {
  const MatrixSource both[] = {test::random_matrix(MatrixFormat::kNvfp4, 20, 48, 3, 1.0f), test::random_matrix(MatrixFormat::kNvfp4, 20, 48, 4, 1.0f)};
  const Nvfp4Tiles tiles = pack_nvfp4_tiles(both, RowOrder::kGateUp);
  EXPECT_EQ(tiles.row_tiles, 2);
  std::vector<float> want(48);
  for (std::int64_t row = 0; row < 20; ++row) {
    for (std::int64_t half = 0; half < 2; ++half) {
      dequantise_row(both[half], row, want);
      const std::int64_t at = row / 8 * 16 + row % 8 + 8 * half;
      for (std::int64_t col = 0; col < 48; ++col) ASSERT_EQ(weight_at(tiles, at, col), want[static_cast<std::size_t>(col)]) << row << ", " << col;
    }
  }
}

TEST(Nvfp4Tiles, BeginARowTileForEveryStackedMatrix) {
  MatrixSource parts[] = {test::random_matrix(MatrixFormat::kNvfp4, 33, 160, 5, 1.0f), test::random_matrix(MatrixFormat::kNvfp4, 8, 160, 6, 1.0f)};
  parts[0].global_scale = 1;
  parts[1].global_scale = 1;
  const Nvfp4Tiles tiles = pack_nvfp4_tiles(parts, RowOrder::kPlain);
  EXPECT_EQ(tiles.row_tiles, 3);
  std::vector<float> want(160);
  for (std::int64_t row = 0; row < 8; ++row) {
    dequantise_row(parts[1], row, want);
    for (std::int64_t col = 0; col < 160; ++col) ASSERT_EQ(weight_at(tiles, 64 + row, col), want[static_cast<std::size_t>(col)]) << row << ", " << col;
  }
}

TEST(Nvfp4Tiles, TurnTheSignsUnderANegativeScale) {
  Nvfp4File file(1, 16);
  file.codes[0] = 0x12;  // 1 and 0.5
  file.scales[0] = 0xb8;
  const Nvfp4Tiles tiles = pack_nvfp4_tiles({&file.source, 1}, RowOrder::kPlain);
  EXPECT_EQ(weight_at(tiles, 0, 0), -1.0f);
  EXPECT_EQ(weight_at(tiles, 0, 1), -0.5f);
}

TEST(Nvfp4Tiles, RefuseAScaleThatIsNotANumber) {
  Nvfp4File file(1, 16);
  file.scales[0] = 0x7f;
  EXPECT_THROW((void)pack_nvfp4_tiles({&file.source, 1}, RowOrder::kPlain), Error);
}

TEST(Nvfp4Tiles, MultiplyByAGlobalScaleThatDivides) {
  Nvfp4File file(1, 16);
  file.source.global_scale = 4.0f;
  file.source.global_scale_rule = GlobalScale::kDivides;
  EXPECT_EQ(pack_nvfp4_tiles({&file.source, 1}, RowOrder::kPlain).parts[0].global_scale, 0.25f);
}

}  // namespace
}  // namespace nvllm::cuda
