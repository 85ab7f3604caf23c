#include "base/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "base/error.h"

namespace nvllm {

namespace {

struct Suffix {
  std::string_view name;
  double factor;
};

constexpr double kKibi = 1024.0;
constexpr std::array<Suffix, 14> kSuffixes = {{
    {"", 1.0}, {"B", 1.0},
    {"K", kKibi}, {"KiB", kKibi}, {"kB", 1e3},
    {"M", kKibi * kKibi}, {"MiB", kKibi * kKibi}, {"MB", 1e6},
    {"G", kKibi * kKibi * kKibi}, {"GiB", kKibi * kKibi * kKibi}, {"GB", 1e9},
    {"T", kKibi * kKibi * kKibi * kKibi}, {"TiB", kKibi * kKibi * kKibi * kKibi}, {"TB", 1e12},
}};

}  // namespace

std::int64_t parse_bytes(std::string_view text, std::string_view what) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!suffix.empty() && suffix.front() == ' ') suffix.remove_prefix(1);
  if (error == std::errc{} && std::isfinite(value) && value >= 0) {
    for (const Suffix& known : kSuffixes) {
      if (known.name == suffix && value * known.factor < 9.0e18) {
        return static_cast<std::int64_t>(value * known.factor);
      }
    }
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("{}: '{}' is not a size; write for example 512MiB, 8GiB or a byte count",
                          what, text));
}

std::string format_bytes(std::int64_t bytes) {
  constexpr std::array<std::string_view, 5> kNames = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (std::abs(value) >= 1024.0 && unit + 1 < kNames.size()) {
    value /= 1024.0;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : value < 100 ? 1 : 0, kNames[unit]);
}

}  // namespace nvllm
