#pragma once

// A number that cannot be printed without its unit, nor added to one of another kind. The summary
// this bench replaces gave milliseconds as microseconds.

#include <optional>
#include <string>
#include <string_view>

namespace nvllm::bench {

/// Powers of the base kinds. Per cent and points are kinds of their own: 2 % plus 0.02 is a slip
/// far more often than a wish.
struct Dimension {
  int time = 0;
  int tokens = 0;
  int points = 0;
  int percent = 0;

  friend bool operator==(const Dimension&, const Dimension&) = default;
};

/// A unit as written: what it is and how many base units (us, token, point, per cent) it holds.
struct QuantityUnit {
  Dimension dimension;
  double scale = 1;
  std::string symbol;  ///< "" for a plain number

  friend bool operator==(const QuantityUnit&, const QuantityUnit&) = default;
};

/// Reads "us", "ms", "s", "%", "pt", "token", "tokens", "" or one of them "/token"; nothing
/// otherwise.
std::optional<QuantityUnit> find_unit(std::string_view symbol);

/// find_unit for a symbol that the program itself wrote.
///   Errors: aborts where there is no such unit.
QuantityUnit unit(std::string_view symbol);

/// The unit of a product or quotient: the named one of this kind and scale, else one spelled in
/// base units.
QuantityUnit unit_of(const Dimension& dimension, double scale);

/// A value in its unit.
struct Quantity {
  double value = 0;  ///< in `unit`
  QuantityUnit unit;

  double base() const { return value * unit.scale; }
};

/// `base_value` (in base units) in this unit.
Quantity in_unit(double base_value, const QuantityUnit& unit);

/// For people: four significant digits and the unit, "24.15 ms", "58.5 %", "3 tokens".
std::string format_quantity(const Quantity& quantity);
std::string format_number(double value);

/// The unit's symbol for messages; "a plain number" where it has none.
std::string describe(const QuantityUnit& unit);

}  // namespace nvllm::bench
