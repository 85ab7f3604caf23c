#include "bench/store/json_field.h"

#include <fmt/format.h>

#include <limits>

#include "base/error.h"

namespace nvllm::bench {

namespace {

[[noreturn]] void refuse(std::string_view what, const char* key, const Json* seen, std::string_view wanted) {
  const std::string value = seen == nullptr ? "absent" : dump_json(*seen).substr(0, 80);
  throw Error(ErrorKind::kBadFile, fmt::format("{}: field '{}' is {}, wanted {}", what, key, value, wanted));
}

/// The field, or null where it is absent or null.
const Json* find(const Json& object, const char* key, std::string_view what) {
  if (!object.is_object()) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: {} where an object with '{}' is wanted", what, object.type_name(), key));
  }
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

template <class Value>
Value needed(std::optional<Value> value, std::string_view what, const char* key, std::string_view wanted) {
  if (!value) refuse(what, key, nullptr, wanted);
  return *std::move(value);
}

}  // namespace

std::optional<std::string> maybe_text(const Json& object, const char* key, std::string_view what) {
  const Json* value = find(object, key, what);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) refuse(what, key, value, "text");
  return value->get<std::string>();
}

std::optional<std::int64_t> maybe_int(const Json& object, const char* key, std::string_view what) {
  const Json* value = find(object, key, what);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer() ||
      (value->is_number_unsigned() &&
       value->get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))) {
    refuse(what, key, value, "a whole number");
  }
  return value->get<std::int64_t>();
}

std::optional<double> maybe_number(const Json& object, const char* key, std::string_view what) {
  const Json* value = find(object, key, what);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) refuse(what, key, value, "a number");
  return value->get<double>();
}

std::string text_field(const Json& object, const char* key, std::string_view what) {
  return needed(maybe_text(object, key, what), what, key, "text");
}

std::int64_t int_field(const Json& object, const char* key, std::string_view what) {
  return needed(maybe_int(object, key, what), what, key, "a whole number");
}

double number_field(const Json& object, const char* key, std::string_view what) {
  return needed(maybe_number(object, key, what), what, key, "a number");
}

const Json& array_field(const Json& object, const char* key, std::string_view what) {
  const Json* value = find(object, key, what);
  if (value == nullptr || !value->is_array()) refuse(what, key, value, "an array");
  return *value;
}

}  // namespace nvllm::bench
