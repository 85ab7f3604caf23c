#include "tensor/dtype.h"

#include <array>

#include "base/check.h"

namespace nvllm {

namespace {

struct Entry {
  DType dtype;
  std::string_view name;
  std::int64_t bytes;
};

constexpr std::array<Entry, 15> kTable = {{
    {DType::kBool, "BOOL", 1}, {DType::kU8, "U8", 1}, {DType::kI8, "I8", 1},
    {DType::kU16, "U16", 2}, {DType::kI16, "I16", 2}, {DType::kU32, "U32", 4},
    {DType::kI32, "I32", 4}, {DType::kU64, "U64", 8}, {DType::kI64, "I64", 8},
    {DType::kF8E4M3, "F8_E4M3", 1}, {DType::kF8E5M2, "F8_E5M2", 1}, {DType::kF16, "F16", 2},
    {DType::kBf16, "BF16", 2}, {DType::kF32, "F32", 4}, {DType::kF64, "F64", 8},
}};

const Entry& entry(DType dtype) {
  const Entry& found = kTable[static_cast<std::size_t>(dtype)];
  NVLLM_CHECK(found.dtype == dtype);
  return found;
}

}  // namespace

std::int64_t dtype_bytes(DType dtype) { return entry(dtype).bytes; }

std::string_view to_string(DType dtype) { return entry(dtype).name; }

std::optional<DType> parse_dtype(std::string_view name) {
  for (const Entry& known : kTable) {
    if (known.name == name) return known.dtype;
  }
  return std::nullopt;
}

std::uint8_t float_to_e4m3(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint8_t>((bits >> 24) & 0x80u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7f;
  const float absolute = std::bit_cast<float>(magnitude);
  if (absolute >= 464.0f) return sign | 0x7e;  // beyond 448 by half a step or more
  if (absolute < 0x1.0p-6f) {
    // Subnormal: a multiple of 2^-9. rint rounds to even, and 8 is the smallest normal's code.
    return sign | static_cast<std::uint8_t>(std::rint(absolute * 0x1.0p9f));
  }
  const std::uint32_t rounded = magnitude + 0x7ffffu + ((magnitude >> 20) & 1u);
  const std::uint32_t code = (rounded >> 20) - (120u << 3);
  return sign | static_cast<std::uint8_t>(code > 0x7e ? 0x7e : code);
}

std::uint8_t float_to_e2m1(float value) {
  const float absolute = std::fabs(value);
  std::uint8_t code = 7;
  if (absolute <= 0.25f) code = 0;
  else if (absolute < 0.75f) code = 1;
  else if (absolute <= 1.25f) code = 2;
  else if (absolute < 1.75f) code = 3;
  else if (absolute <= 2.5f) code = 4;
  else if (absolute < 3.5f) code = 5;
  else if (absolute <= 5.0f) code = 6;
  return value < 0 ? static_cast<std::uint8_t>(code | 8u) : code;
}

}  // namespace nvllm
