#include "server/fields.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "server/api_error.h"

namespace nvllm::server {
namespace {

/// The value as a whole number; nullopt if it is none or does not fit.
std::optional<std::int64_t> whole(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return {};
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return {};
  const double number = value.get<double>();
  constexpr double kExact = 9007199254740992.0;  // 2^53: beyond it a double skips whole numbers
  if (!(std::abs(number) <= kExact) || number != std::floor(number)) return {};
  return static_cast<std::int64_t>(number);
}

std::string bounds_text(IntegerRange range) {
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
  if (range.max == kMax && range.min == kMin) return "a whole number of 64 bits";
  if (range.max == kMax) return fmt::format("a whole number of at least {}", range.min);
  return fmt::format("a whole number from {} to {}", range.min, range.max);
}

}  // namespace

std::int64_t read_integer(const Json& value, std::string_view path, IntegerRange range) {
  const std::optional<std::int64_t> number = whole(value);
  if (!number) {
    throw bad_field(path, fmt::format("must be {}, not {}", bounds_text(range),
                                      value.is_number() ? "this number" : value.type_name()));
  }
  if (*number < range.min || *number > range.max) {
    throw bad_field(path, fmt::format("is {}; it must be {}", *number, bounds_text(range)));
  }
  return *number;
}

double read_number(const Json& value, std::string_view path, NumberRange range) {
  const bool open = range.lower == LowerBound::kExcluded;
  const std::string wanted = fmt::format("a number {} {} and at most {}",
                                         open ? "above" : "of at least", range.min, range.max);
  if (!value.is_number()) {
    throw bad_field(path, fmt::format("must be {}, not {}", wanted, value.type_name()));
  }
  const double number = value.get<double>();
  const bool inside = (open ? number > range.min : number >= range.min) && number <= range.max;
  if (!inside) throw bad_field(path, fmt::format("is {}; it must be {}", number, wanted));
  return number;
}

std::vector<std::int32_t> read_ids(const Json& value, std::string_view path, std::int64_t id_count,
                                   std::int64_t count_max) {
  if (!value.is_array()) {
    throw bad_field(path, fmt::format("must be a list of token ids, not {}", value.type_name()));
  }
  if (static_cast<std::int64_t>(value.size()) > count_max) {
    throw bad_field(path,
                    fmt::format("has {} entries; at most {} are allowed", value.size(), count_max));
  }
  std::vector<std::int32_t> ids;
  ids.reserve(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    const Json& entry = value[i];
    const std::optional<std::int64_t> id = whole(entry);
    // The path of an entry is put together only when it is needed: lists can be long.
    if (!id || *id < 0 || *id >= id_count) {
      read_integer(entry, fmt::format("{}[{}]", path, i), {0, id_count - 1});
    }
    ids.push_back(static_cast<std::int32_t>(*id));
  }
  return ids;
}

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (object_.is_object()) return;
  const std::string what = path_.empty() ? "the request body" : path_.substr(0, path_.size() - 1);
  throw ApiError({.message = what + " must be a JSON object, not " + object_.type_name(),
                  .param = path_.empty() ? "" : what});
}

const Json* Fields::find(std::string_view name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> Fields::integer(std::string_view name, IntegerRange range) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  return read_integer(*value, path_of(name), range);
}

std::optional<double> Fields::number(std::string_view name, NumberRange range) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  return read_number(*value, path_of(name), range);
}

std::optional<bool> Fields::flag(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (value->is_boolean()) return value->get<bool>();
  throw bad_field(path_of(name), fmt::format("must be true or false, not {}", value->type_name()));
}

std::optional<std::string> Fields::text(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  throw bad_field(path_of(name), fmt::format("must be a string, not {}", value->type_name()));
}

std::optional<std::vector<std::int32_t>> Fields::ids(std::string_view name, std::int64_t id_count,
                                                     std::int64_t count_max) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  return read_ids(*value, path_of(name), id_count, count_max);
}

}  // namespace nvllm::server
