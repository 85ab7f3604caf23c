#pragma once

// The number formats of checkpoints and kernels, and their exact conversions.
// Source: OCP 8-bit and microscaling formats; rules and tables in docs/nvfp4.md.

#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

namespace nvllm {

/// Element types a safetensors file may name.
enum class DType { kBool, kU8, kI8, kU16, kI16, kU32, kI32, kU64, kI64, kF8E4M3, kF8E5M2, kF16, kBf16, kF32, kF64 };

/// Bytes of one element.
std::int64_t dtype_bytes(DType dtype);
/// The safetensors name: "BF16", "F8_E4M3", ...
std::string_view to_string(DType dtype);
/// The type with that safetensors name, if nvllm knows it.
std::optional<DType> parse_dtype(std::string_view name);

/// A bfloat16 value: the upper half of an IEEE float.
struct Bf16 {
  std::uint16_t bits = 0;
  friend bool operator==(Bf16, Bf16) = default;
};

constexpr float to_float(Bf16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

/// Rounds to nearest, ties to even; NaN stays NaN.
constexpr Bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {  // NaN: keep the sign, set a quiet payload
    return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  }
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

/// The value that survives a trip through bfloat16.
constexpr float round_to_bf16(float value) { return to_float(to_bf16(value)); }

/// IEEE half precision to float, exact.
constexpr float f16_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 31u;
  const std::uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

/// FP8 E4M3FN to float, exact; codes 0x7f and 0xff are NaN.
constexpr float e4m3_to_float(std::uint8_t code) {
  const std::uint32_t sign = static_cast<std::uint32_t>(code & 0x80u) << 24;
  const std::uint32_t magnitude = code & 0x7fu;
  if (magnitude == 0x7f) return std::bit_cast<float>(sign | 0x7fc00000u);
  if (magnitude >= 8) return std::bit_cast<float>(sign | ((magnitude << 20) + (120u << 23)));
  const float small = static_cast<float>(magnitude) * 0x1.0p-9f;
  return sign != 0 ? -small : small;
}

/// Rounds to FP8 E4M3FN, nearest with ties to even, saturating at ±448; NaN gives 0x7f.
std::uint8_t float_to_e4m3(float value);

/// FP4 E2M1 to float: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives (codes 8 to 15).
constexpr float e2m1_to_float(std::uint8_t code) {
  constexpr float kMagnitudes[8] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  const float magnitude = kMagnitudes[code & 7u];
  return (code & 8u) != 0 ? -magnitude : magnitude;
}

/// Rounds to FP4 E2M1, nearest with ties to the even code, saturating at ±6. A small negative value
/// gives code 8 (minus zero), as both reference writers do; -0.0 itself gives 0.
std::uint8_t float_to_e2m1(float value);

}  // namespace nvllm
