#include "checkpoint/nvfp4_quantiser.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "tensor/dtype.h"

namespace nvllm::checkpoint {

namespace {

constexpr float kCodeMax = 6.0f, kScaleMax = 448.0f, kScaleMin = 0x1.0p-9f;

float magnitude_of(std::span<const float> values) {
  float largest = 0.0f;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

}  // namespace

float largest_magnitude(const MatrixSource& matrix) {
  std::vector<float> row(static_cast<std::size_t>(matrix.cols));
  float largest = 0.0f;
  for (std::int64_t r = 0; r < matrix.rows; ++r) {
    dequantise_row(matrix, r, row);
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (!std::isfinite(row[c])) {
        throw Error(ErrorKind::kBadFile,
                    fmt::format("tensor '{}.weight' holds {} at [{}, {}], wanted finite weights",
                                matrix.name, row[c], r, c));
      }
    }
    largest = std::max(largest, magnitude_of(row));
  }
  return largest;
}

float power_of_two_scale(float magnitude) {
  // Far from where the scale, its reciprocal or a block factor would leave the normal floats.
  constexpr int kExponentMin = -100;
  if (magnitude == 0.0f) return 1.0f;
  int exponent = 0;
  const double fraction =
      std::frexp(static_cast<double>(magnitude) / (kCodeMax * kScaleMax), &exponent);
  if (fraction == 0.5) --exponent;  // frexp gives [0.5, 1): a power of two stays what it is
  return std::ldexp(1.0f, std::max(exponent, kExponentMin));
}

void quantise_row(std::span<const float> row, float global_scale, std::span<std::byte> codes,
                  std::span<std::byte> scales) {
  constexpr auto kBlock = static_cast<std::size_t>(kNvfp4Block);
  NVLLM_CHECK_EQ(codes.size() * 2, row.size());
  NVLLM_CHECK_EQ(scales.size() * kBlock, row.size());
  for (std::size_t b = 0; b < scales.size(); ++b) {
    const auto block = row.subspan(b * kBlock, kBlock);
    const float magnitude = magnitude_of(block);
    const float wanted =
        magnitude == 0.0f ? 1.0f
                          : std::clamp(magnitude / (kCodeMax * global_scale), kScaleMin, kScaleMax);
    const std::uint8_t scale = float_to_e4m3(wanted);
    scales[b] = static_cast<std::byte>(scale);
    const float factor = e4m3_to_float(scale) * global_scale;
    for (std::size_t i = 0; i < kBlock; i += 2) {
      const std::uint8_t low = float_to_e2m1(block[i] / factor);
      const std::uint8_t high = float_to_e2m1(block[i + 1] / factor);
      codes[(b * kBlock + i) / 2] = static_cast<std::byte>(low | (high << 4));
    }
  }
}

}  // namespace nvllm::checkpoint
