#include "bench/rules/quantity.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "base/check.h"

namespace nvllm::bench {

namespace {

struct NamedUnit {
  std::string_view symbol;
  Dimension dimension;
  double scale;
};

// The first of two names for one unit is the one that is printed.
constexpr std::array<NamedUnit, 12> kUnits = {{
    {"", {}, 1},
    {"us", {.time = 1}, 1},
    {"ms", {.time = 1}, 1e3},
    {"s", {.time = 1}, 1e6},
    {"tokens", {.tokens = 1}, 1},
    {"token", {.tokens = 1}, 1},
    {"%", {.percent = 1}, 1},
    {"pt", {.points = 1}, 1},
    {"us/token", {.time = 1, .tokens = -1}, 1},
    {"ms/token", {.time = 1, .tokens = -1}, 1e3},
    {"s/token", {.time = 1, .tokens = -1}, 1e6},
    {"tokens/s", {.time = -1, .tokens = 1}, 1e-6},
}};

/// For units that no table names: "us^2 token^-1".
std::string spelled_out(const Dimension& dimension) {
  std::string text;
  const auto append = [&](std::string_view name, int power) {
    if (power == 0) return;
    if (!text.empty()) text += ' ';
    text += power == 1 ? std::string(name) : fmt::format("{}^{}", name, power);
  };
  append("us", dimension.time);
  append("token", dimension.tokens);
  append("pt", dimension.points);
  append("%", dimension.percent);
  return text;
}

}  // namespace

std::optional<QuantityUnit> find_unit(std::string_view symbol) {
  for (const NamedUnit& known : kUnits) {
    if (known.symbol == symbol) {
      return QuantityUnit{
          .dimension = known.dimension, .scale = known.scale, .symbol = std::string(symbol)};
    }
  }
  return std::nullopt;
}

QuantityUnit unit(std::string_view symbol) {
  const std::optional<QuantityUnit> found = find_unit(symbol);
  NVLLM_CHECK(found.has_value());
  return *found;
}

QuantityUnit unit_of(const Dimension& dimension, double scale) {
  for (const NamedUnit& known : kUnits) {
    // Scales are products of powers of ten: exact to a few roundings.
    if (known.dimension == dimension && std::abs(known.scale / scale - 1) < 1e-12) {
      return QuantityUnit{
          .dimension = dimension, .scale = known.scale, .symbol = std::string(known.symbol)};
    }
  }
  return QuantityUnit{.dimension = dimension, .scale = 1, .symbol = spelled_out(dimension)};
}

Quantity in_unit(double base_value, const QuantityUnit& unit) {
  return {.value = base_value / unit.scale, .unit = unit};
}

std::string format_number(double value) {
  // Rounding 24,325 to four digits would print digits that are not so.
  return std::abs(value) >= 1000 && std::abs(value) < 1e15 ? fmt::format("{:.0f}", value)
                                                           : fmt::format("{:.4g}", value);
}

std::string format_quantity(const Quantity& quantity) {
  const std::string number = format_number(quantity.value);
  return quantity.unit.symbol.empty() ? number : number + " " + quantity.unit.symbol;
}

std::string describe(const QuantityUnit& unit) {
  return unit.symbol.empty() ? "a plain number" : unit.symbol;
}

}  // namespace nvllm::bench
