#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace nvllm::server {

/// Closed bounds of a whole number.
struct IntegerRange {
  std::int64_t min = 0;
  std::int64_t max = 0;
};

/// Whether the lower bound itself is allowed.
enum class LowerBound { kIncluded, kExcluded };

struct NumberRange {
  double min = 0;
  double max = 0;
  LowerBound lower = LowerBound::kIncluded;
};

/// Reads a JSON object field by field. A field that is absent or null is absent; one of the wrong
/// type or out of range is a 400 that names it.
class Fields {
 public:
  /// Borrows the object. `path` is put before names in messages: "stream_options.".
  ///   Errors: ApiError 400 if it is not an object.
  explicit Fields(const Json& object, std::string path = "");

  /// The value as it is, or nullptr if absent or null.
  const Json* find(std::string_view name) const;
  std::optional<std::int64_t> integer(std::string_view name, IntegerRange range) const;
  std::optional<double> number(std::string_view name, NumberRange range) const;
  std::optional<bool> flag(std::string_view name) const;
  std::optional<std::string> text(std::string_view name) const;
  /// A list of at most `count_max` whole numbers.
  std::optional<std::vector<std::int32_t>> ids(std::string_view name, std::int64_t id_count,
                                               std::int64_t count_max) const;
  /// The full name of a field, for messages.
  std::string path_of(std::string_view name) const { return path_ + std::string(name); }

 private:
  const Json& object_;
  std::string path_;
};

/// One whole number, whatever its spelling (16 and 16.0), inside the range.
///   Errors: ApiError 400 naming `path`.
std::int64_t read_integer(const Json& value, std::string_view path, IntegerRange range);
double read_number(const Json& value, std::string_view path, NumberRange range);
/// A list of token ids below `id_count`.
std::vector<std::int32_t> read_ids(const Json& value, std::string_view path, std::int64_t id_count,
                                   std::int64_t count_max);

}  // namespace nvllm::server
