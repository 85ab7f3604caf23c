#include "tensor/matrix_source.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>

#include "tensor/dtype.h"

namespace nvllm {
namespace {

// One block whose tensor maximum is 0.5: packed bytes, scale and the BF16 values they stand for,
// worked out by exact emulation of the formats (docs/nvfp4.md).
constexpr std::array<std::uint8_t, 8> kPacked = {0xb2, 0x15, 0x4e, 0x80, 0xd2, 0x73, 0x1b, 0x6f};
constexpr std::uint8_t kScale = 0x6a;
constexpr std::array<float, 16> kExpected = {
    0.014892578f, -0.022338867f, 0.044677734f, 0.007446289f, -0.059570312f, 0.029785156f, 0.0f, -0.0f,
    0.014892578f, -0.044677734f, 0.022338867f, 0.089355469f, -0.022338867f, 0.007446289f,
    -0.089355469f, 0.059570312f};

MatrixSource one_block(GlobalScale rule, float global) {
  MatrixSource m;
  m.rows = 1;
  m.cols = 16;
  m.format = MatrixFormat::kNvfp4;
  m.data = reinterpret_cast<const std::byte*>(kPacked.data());
  m.block_scales = reinterpret_cast<const std::byte*>(&kScale);
  m.global_scale = global;
  m.global_scale_rule = rule;
  return m;
}

TEST(DequantiseRow, AgreesWithTheWorkedExampleInBothLayouts) {
  std::array<float, 16> modelopt{}, compressed{};
  dequantise_row(one_block(GlobalScale::kMultiplies, std::bit_cast<float>(0x39430c31u)), 0, modelopt);
  dequantise_row(one_block(GlobalScale::kDivides, 5376.0f), 0, compressed);
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(to_bf16(modelopt[i]), to_bf16(kExpected[i])) << i;
    EXPECT_EQ(to_bf16(compressed[i]), to_bf16(kExpected[i])) << i;
  }
}

TEST(DequantiseRow, AppliesFp8ScalesPerTensorRowAndBlock) {
  std::vector<std::byte> codes(2 * 130, std::byte{0x38});  // 1.0
  MatrixSource m;
  m.rows = 2;
  m.cols = 130;
  m.format = MatrixFormat::kFp8;
  m.data = codes.data();
  std::vector<float> row(130);
  m.scales = {0.5f};
  dequantise_row(m, 1, row);
  EXPECT_EQ(row[129], 0.5f);
  m.fp8_scales = Fp8Scales::kPerRow;
  m.scales = {0.5f, 2.0f};
  dequantise_row(m, 1, row);
  EXPECT_EQ(row[0], 2.0f);
  m.fp8_scales = Fp8Scales::kBlock128;
  m.scales = {0.5f, 4.0f};  // one row of blocks, two columns of blocks
  dequantise_row(m, 1, row);
  EXPECT_EQ(row[127], 0.5f);
  EXPECT_EQ(row[128], 4.0f);
}

}  // namespace
}  // namespace nvllm
