#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nvllm {

/// Reads a size in bytes: a plain count, or a number with KiB, MiB, GiB, TiB, kB, MB, GB, TB, or
/// the short K, M, G, T (powers of 1024, as llama.cpp and systemd read them).
///   Errors: Error(kUsage) naming `what` for anything else, a negative or an overflowing value.
std::int64_t parse_bytes(std::string_view text, std::string_view what);

/// Writes a size for people: "912 B", "3.25 MiB", "14.4 GiB".
std::string format_bytes(std::int64_t bytes);

/// Rounds up to a multiple; `step` > 0.
constexpr std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

/// The number of steps of size `step` that cover `value`; `step` > 0.
constexpr std::int64_t ceil_div(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step;
}

}  // namespace nvllm
