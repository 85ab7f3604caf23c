#pragma once

// Random inputs for kernel tests: seeded, non-zero, of every weight format.

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/hashing.h"
#include "tensor/dtype.h"
#include "tensor/matrix_source.h"

namespace nvllm::test {

/// A deterministic stream of numbers in (-1, 1).
class Random {
 public:
  explicit Random(std::uint64_t seed) : seed_(seed) {}
  float next() { return static_cast<float>(2 * random_uniform(seed_, counter_++) - 1); }
  std::uint64_t bits() { return random_bits(seed_, counter_++); }

 private:
  std::uint64_t seed_;
  std::uint64_t counter_ = 0;
};

inline std::vector<Bf16> random_rows(std::int64_t count, std::uint64_t seed, float scale = 1.0f) {
  Random random(seed);
  std::vector<Bf16> out(static_cast<std::size_t>(count));
  for (Bf16& value : out) value = to_bf16(scale * random.next());
  return out;
}

inline std::vector<float> random_floats(std::int64_t count, std::uint64_t seed, float scale = 1.0f) {
  Random random(seed);
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& value : out) value = scale * random.next();
  return out;
}

/// A matrix of the format with weights of about 1 / sqrt(cols). cols must be a multiple of 16 for
/// NVFP4. NVFP4 uses a power-of-two global scale unless `global_scale` is given.
inline MatrixSource random_matrix(MatrixFormat format, std::int64_t rows, std::int64_t cols, std::uint64_t seed,
                                  float global_scale = 0) {
  Random random(seed);
  const float size = 1.0f / std::sqrt(static_cast<float>(cols));
  auto bytes = std::make_shared<std::vector<std::byte>>();
  const auto put = [&](const void* data, std::size_t count) {
    const auto* from = static_cast<const std::byte*>(data);
    bytes->insert(bytes->end(), from, from + count);
  };
  MatrixSource m;
  m.name = "random";
  m.rows = rows;
  m.cols = cols;
  m.format = format;
  const std::int64_t elements = rows * cols;
  switch (format) {
    case MatrixFormat::kBf16:
      for (std::int64_t i = 0; i < elements; ++i) {
        const Bf16 value = to_bf16(size * random.next());
        put(&value, 2);
      }
      break;
    case MatrixFormat::kF16:
      for (std::int64_t i = 0; i < elements; ++i) {
        const auto value = static_cast<std::uint16_t>((random.bits() & 0x83ff) | 0x2400);  // ±2^-6 … 2^-5
        put(&value, 2);
      }
      break;
    case MatrixFormat::kF32:
      for (std::int64_t i = 0; i < elements; ++i) {
        const float value = size * random.next();
        put(&value, 4);
      }
      break;
    case MatrixFormat::kFp8:
      for (std::int64_t i = 0; i < elements; ++i) {
        const std::uint8_t code = float_to_e4m3(100.0f * random.next());
        put(&code, 1);
      }
      m.scales = {size / 100.0f};
      break;
    case MatrixFormat::kNvfp4:
      for (std::int64_t i = 0; i < elements / 2; ++i) {
        const auto pair = static_cast<std::uint8_t>(random.bits());
        put(&pair, 1);
      }
      for (std::int64_t i = 0; i < elements / 16; ++i) {
        const std::uint8_t scale = float_to_e4m3(std::abs(64.0f * random.next()) + 0.01f);
        put(&scale, 1);
      }
      m.global_scale = global_scale != 0 ? global_scale : std::exp2(std::round(std::log2(size / 200.0f)));
      break;
  }
  m.data = bytes->data();
  if (format == MatrixFormat::kNvfp4) m.block_scales = bytes->data() + elements / 2;
  m.keep_alive = bytes;
  return m;
}

}  // namespace nvllm::test
