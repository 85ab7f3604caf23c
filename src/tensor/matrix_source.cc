#include "tensor/matrix_source.h"

#include <cstring>

#include "base/check.h"
#include "base/units.h"
#include "tensor/dtype.h"

namespace nvllm {

namespace {

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);  // tensor data need not be aligned in its file
  return value;
}

void dequantise_nvfp4_row(const MatrixSource& m, std::int64_t row, std::span<float> out) {
  const std::byte* codes = m.data + row * (m.cols / 2);
  const std::byte* scales = m.block_scales + row * (m.cols / 16);
  for (std::int64_t block = 0; block < m.cols / 16; ++block) {
    const float scale = e4m3_to_float(static_cast<std::uint8_t>(scales[block]));
    const float factor = m.global_scale_rule == GlobalScale::kMultiplies ? scale * m.global_scale
                                                                         : scale / m.global_scale;
    for (std::int64_t i = 0; i < 16; ++i) {
      const std::int64_t col = block * 16 + i;
      const auto byte = static_cast<std::uint8_t>(codes[col / 2]);
      const auto code = static_cast<std::uint8_t>((col & 1) != 0 ? byte >> 4 : byte & 15);
      out[static_cast<std::size_t>(col)] = round_to_bf16(e2m1_to_float(code) * factor);
    }
  }
}

float fp8_scale(const MatrixSource& m, std::int64_t row, std::int64_t col) {
  switch (m.fp8_scales) {
    case Fp8Scales::kPerTensor: return m.scales[0];
    case Fp8Scales::kPerRow: return m.scales[static_cast<std::size_t>(row)];
    case Fp8Scales::kBlock128:
      return m.scales[static_cast<std::size_t>(row / 128 * ceil_div(m.cols, 128) + col / 128)];
  }
  return 1.0f;
}

}  // namespace

std::int64_t file_bytes(const MatrixSource& matrix) {
  const std::int64_t elements = matrix.rows * matrix.cols;
  switch (matrix.format) {
    case MatrixFormat::kBf16:
    case MatrixFormat::kF16: return elements * 2;
    case MatrixFormat::kF32: return elements * 4;
    case MatrixFormat::kNvfp4: return elements / 2 + elements / 16 + 4;
    case MatrixFormat::kFp8: return elements + static_cast<std::int64_t>(matrix.scales.size()) * 4;
  }
  return 0;
}

void dequantise_row(const MatrixSource& m, std::int64_t row, std::span<float> out) {
  NVLLM_CHECK_EQ(static_cast<std::int64_t>(out.size()), m.cols);
  NVLLM_CHECK(row >= 0 && row < m.rows);
  if (m.format == MatrixFormat::kNvfp4) return dequantise_nvfp4_row(m, row, out);
  for (std::int64_t col = 0; col < m.cols; ++col) {
    const std::int64_t index = row * m.cols + col;
    float& value = out[static_cast<std::size_t>(col)];
    switch (m.format) {
      case MatrixFormat::kBf16: value = to_float(Bf16{load<std::uint16_t>(m.data + index * 2)}); break;
      case MatrixFormat::kF16: value = f16_to_float(load<std::uint16_t>(m.data + index * 2)); break;
      case MatrixFormat::kF32: value = load<float>(m.data + index * 4); break;
      case MatrixFormat::kFp8:
        value = round_to_bf16(e4m3_to_float(static_cast<std::uint8_t>(m.data[index])) *
                              fp8_scale(m, row, col));
        break;
      case MatrixFormat::kNvfp4: break;
    }
  }
}

}  // namespace nvllm
