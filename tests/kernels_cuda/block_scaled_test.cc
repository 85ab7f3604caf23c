// Products with both sides in NVFP4. On devices that do not multiply it their arithmetic is spelled out, so that everything
// else around the instruction is tested on any.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/cuda/block_scaled_codes.h"
#include "kernels/cuda/block_scaled_matmul.h"
#include "kernels/cuda/nvfp4_rows.h"
#include "support/device.h"
#include "support/random_matrix.h"
#include "tensor/dtype.h"

namespace nvllm::cuda {
namespace {

constexpr std::int64_t kBlock = 16;

std::uint32_t word_at(const Nvfp4Tiles& tiles, std::int64_t tile, std::int64_t half, std::int64_t group, std::int64_t lane, std::int64_t block) {
  std::uint32_t word = 0;
  const std::int64_t at = tile * kTileBytes + (half * 2 + group) * 512 + lane * 16 + block * 4;
  std::memcpy(&word, tiles.bytes.data() + at, sizeof word);
  return word;
}

/// A code as the file has it, its block's sign applied.
std::uint32_t code_of(const MatrixSource& m, std::int64_t row, std::int64_t col) {
  const auto byte = static_cast<std::uint32_t>(m.data[(row * m.cols + col) / 2]);
  return byte >> (col % 2 * 4) & 15u;
}

TEST(BlockScaledCodes, TurnsEveryWordOfATileBackIntoCodesOfFourBits) {
  const MatrixSource m = test::random_matrix(MatrixFormat::kNvfp4, 32, 128, 3);
  const Nvfp4Tiles tiles = pack_nvfp4_tiles({&m, 1}, RowOrder::kPlain);
  for (std::int64_t group = 0; group < 2; ++group) {
    for (std::int64_t block = 0; block < 8; ++block) {
      for (std::int64_t lane = 0; lane < 32; ++lane) {
        const CodeRows rows(word_at(tiles, 0, block / 4, group, lane, block % 4));
        const std::int64_t row = group * 16 + lane / 4, col = block * 16 + lane % 4 * 4;
        const auto want = [&](std::int64_t r) {
          return code_of(m, r, col) | code_of(m, r, col + 2) << 4 | code_of(m, r, col + 1) << 16 | code_of(m, r, col + 3) << 20;
        };
        ASSERT_EQ(rows.upper, want(row)) << "group " << group << ", block " << block << ", lane " << lane;
        ASSERT_EQ(rows.lower, want(row + 8)) << "group " << group << ", block " << block << ", lane " << lane;
      }
    }
  }
}

TEST(BlockScaledCodes, UndoesTheTilesFormOfEveryScale) {
  for (std::uint32_t scale = 1; scale < 127; ++scale) EXPECT_EQ(narrow_scale(wide_scale(static_cast<std::uint8_t>(scale))), scale);
  EXPECT_EQ(narrow_scales(wide_scale(1) | wide_scale(7) << 8 | wide_scale(8) << 16 | static_cast<std::uint32_t>(wide_scale(126)) << 24),
            1u | 7u << 8 | 8u << 16 | 126u << 24);
}

/// Rows of activations as the device rounded them, and what they stand for.
struct Rounded {
  DeviceBuffer memory;
  Nvfp4Rows rows;
  std::vector<std::uint32_t> codes, scales;
  std::vector<float> factors;
  std::int64_t tiles;

  Rounded(const std::vector<Bf16>& x, std::int64_t count, std::int64_t cols) : tiles((cols + kTileCols - 1) / kTileCols) {
    memory = DeviceBuffer(Nvfp4Rows::bytes(count, tiles));
    memory.fill(0xff);
    rows = Nvfp4Rows::in(memory.as<void>(), count, tiles);
    DeviceBuffer from(count * cols * 2);
    from.upload(x.data(), from.bytes());
    round_to_nvfp4(rows, from.as<Bf16>(), cols, count, cols, nullptr);
    codes.resize(static_cast<std::size_t>(count * tiles * 16));
    scales.resize(static_cast<std::size_t>(rows.pairs * tiles * 4));
    factors.resize(static_cast<std::size_t>(count));
    const auto start = memory.as<std::byte>();
    const auto place = [&](const void* part) { return static_cast<const std::byte*>(part) - start; };
    memory.download(codes.data(), static_cast<std::int64_t>(codes.size() * 4), place(rows.codes));
    memory.download(scales.data(), static_cast<std::int64_t>(scales.size() * 4), place(rows.scales));
    memory.download(factors.data(), static_cast<std::int64_t>(factors.size() * 4), place(rows.factors));
  }
  std::uint8_t code(std::int64_t row, std::int64_t col) const {
    const std::int64_t within = col % 8, at = within % 2 * 4 + within / 2;  // even columns first
    return codes[static_cast<std::size_t>(row * tiles * 16 + col / 8)] >> (4 * at) & 15u;
  }
  std::uint8_t scale(std::int64_t row, std::int64_t block) const {
    const std::int64_t word = (block / 8 * 2 * rows.pairs + row) * 2 + block % 8 / 4;
    return scales[static_cast<std::size_t>(word)] >> (block % 4 * 8) & 255u;
  }
  double value(std::int64_t row, std::int64_t col) const {
    return static_cast<double>(e2m1_to_float(code(row, col))) * e4m3_to_float(scale(row, col / kBlock)) * factors[static_cast<std::size_t>(row)];
  }
};

class BlockScaledOnDevice : public test::OnDevice {};

TEST_F(BlockScaledOnDevice, RoundsRowsAsTheFormatDefines) {
  constexpr std::int64_t kRows = 5, kCols = 272;  // two tiles and a block
  auto x = test::random_rows(kRows * kCols, 21);
  for (std::int64_t c = 0; c < kCols; ++c) {
    x[static_cast<std::size_t>(kCols + c)] = Bf16{};  // a row of nothing
    auto& large = x[static_cast<std::size_t>(2 * kCols + c)];
    large = to_bf16(to_float(large) * (c / kBlock % 2 == 0 ? 1e30f : 1e24f));  // blocks far below the row's largest
  }
  x[static_cast<std::size_t>(4 * kCols + 7)] = to_bf16(std::numeric_limits<float>::infinity());
  const Rounded got(x, kRows, kCols);
  for (std::int64_t row = 0; row < 4; ++row) {
    const auto at = [&](std::int64_t col) { return to_float(x[static_cast<std::size_t>(row * kCols + col)]); };
    float largest = 0;
    for (std::int64_t c = 0; c < kCols; ++c) largest = std::max(largest, std::abs(at(c)));
    const float factor = largest == 0 ? 1.0f : largest / (6.0f * 448.0f);
    ASSERT_EQ(got.factors[static_cast<std::size_t>(row)], factor) << "row " << row;
    for (std::int64_t block = 0; block < got.tiles * 8; ++block) {
      float of_block = 0;
      for (std::int64_t c = block * kBlock; c < std::min(kCols, (block + 1) * kBlock); ++c) of_block = std::max(of_block, std::abs(at(c)));
      const std::uint8_t scale = float_to_e4m3(of_block / (6.0f * factor));
      ASSERT_EQ(got.scale(row, block), scale) << "row " << row << ", block " << block;
      const float unit = e4m3_to_float(scale) * factor;
      for (std::int64_t c = block * kBlock; c < (block + 1) * kBlock; ++c) {
        const float want = c < kCols && unit > 0 ? e2m1_to_float(float_to_e2m1(at(c) / unit)) : 0.0f;
        ASSERT_EQ(e2m1_to_float(got.code(row, c)), want) << "row " << row << ", column " << c;
      }
    }
  }
  EXPECT_TRUE(std::isnan(got.factors[4]));
}

/// The product of the rounded rows against double precision; poison where sums go, and more rows and columns than there are.
void expect_product(RowOrder order, std::int64_t tokens) {
  constexpr std::int64_t kRows = 150, kCols = 400;
  const MatrixSource parts[] = {test::random_matrix(MatrixFormat::kNvfp4, kRows, kCols, 31), test::random_matrix(MatrixFormat::kNvfp4, kRows, kCols, 32)};
  const std::size_t count = order == RowOrder::kGateUp ? 2 : 1;
  const Nvfp4DeviceMatrix w(pack_nvfp4_tiles({parts, count}, order));
  const Rounded x(test::random_rows(tokens * kCols, 33), tokens, kCols);
  const std::int64_t stride = kRows + 3;
  std::vector<DeviceBuffer> outs;
  std::vector<MatvecTarget> targets;
  for (std::size_t i = 0; i < count; ++i) {
    outs.emplace_back(tokens * stride * 2);
    outs.back().fill(0xff);
    targets.push_back({outs.back().as<void>(), stride});
  }
  block_scaled_matmul(targets, x.rows, tokens, w, nullptr);
  for (std::size_t part = 0; part < count; ++part) {
    std::vector<Bf16> got(static_cast<std::size_t>(tokens * stride));
    outs[part].download(got.data(), outs[part].bytes());
    std::vector<float> unscaled(kCols);
    MatrixSource m = parts[part];
    const float global = m.global_scale;
    m.global_scale = 1;  // what is rounded to BF16 then is exact
    for (std::int64_t r = 0; r < stride; ++r) {
      if (r < kRows) dequantise_row(m, r, unscaled);
      for (std::int64_t t = 0; t < tokens; ++t) {
        const float value = to_float(got[static_cast<std::size_t>(t * stride + r)]);
        if (r >= kRows) {
          ASSERT_TRUE(std::isnan(value)) << "row " << r << " is nobody's";
          continue;
        }
        double sum = 0, size = 0;
        for (std::int64_t c = 0; c < kCols; ++c) {
          const double product = static_cast<double>(unscaled[static_cast<std::size_t>(c)]) * global * x.value(t, c);
          sum += product;
          size += std::abs(product);
        }
        const double bound = size * std::exp2(-22) * std::sqrt(static_cast<double>(kCols)) + std::abs(sum) * std::exp2(-8);
        ASSERT_NEAR(value, sum, bound) << "part " << part << ", row " << r << ", token " << t;
      }
    }
  }
}

TEST_F(BlockScaledOnDevice, AgreesWithDoublePrecision) {
  for (const std::int64_t tokens : {1, 64, 131}) {
    expect_product(RowOrder::kPlain, tokens);
    expect_product(RowOrder::kGateUp, tokens);
  }
}

}  // namespace
}  // namespace nvllm::cuda
