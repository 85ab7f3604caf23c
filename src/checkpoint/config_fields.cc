#include "checkpoint/config_fields.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"

namespace nvllm::checkpoint {

namespace {

/// A value for a message, cut to a readable length.
std::string shown(const Json& value) {
  constexpr std::size_t kCharactersMax = 60;
  std::string text = dump_json(value);
  if (text.size() > kCharactersMax) text = text.substr(0, kCharactersMax) + "...";
  return text;
}

}  // namespace

const Json* ConfigFields::find(std::string_view name) const {
  for (const Json* object : {&inner_, &outer_}) {
    const auto found = object->find(name);
    if (found != object->end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

void ConfigFields::refuse(std::string_view name, const std::string& seen,
                          std::string_view wanted) const {
  throw Error(ErrorKind::kBadFile,
              fmt::format("{}: field '{}' is {}, wanted {}", file_name_, name, seen, wanted));
}

void ConfigFields::unsupported(std::string_view name, const std::string& seen,
                               std::string_view supported) const {
  throw Error(ErrorKind::kUnsupported, fmt::format("{}: field '{}' is {}, nvllm supports {}",
                                                   file_name_, name, seen, supported));
}

std::int64_t ConfigFields::checked_integer(std::string_view name, const Json& value,
                                           Range range) const {
  const std::string wanted = fmt::format("an integer from {} to {}", range.least, range.greatest);
  if (!value.is_number_integer()) refuse(name, shown(value), wanted);
  const bool too_large = value.is_number_unsigned() &&
                         value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
  const auto number = too_large ? 0 : value.get<std::int64_t>();
  if (too_large || number < range.least || number > range.greatest)
    refuse(name, shown(value), wanted);
  return number;
}

std::int64_t ConfigFields::integer(std::string_view name, Range range) const {
  const Json* value = find(name);
  if (value == nullptr) {
    refuse(name, "missing", fmt::format("an integer from {} to {}", range.least, range.greatest));
  }
  return checked_integer(name, *value, range);
}

std::int64_t ConfigFields::integer_or(std::string_view name, Range range,
                                      std::int64_t otherwise) const {
  const Json* value = find(name);
  return value == nullptr ? otherwise : checked_integer(name, *value, range);
}

double ConfigFields::checked_positive(std::string_view name, const Json& value) const {
  const double number = value.is_number() ? value.get<double>() : 0.0;
  if (!(number > 0.0) || !std::isfinite(number))
    refuse(name, shown(value), "a finite number above 0");
  return number;
}

double ConfigFields::positive(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) refuse(name, "missing", "a finite number above 0");
  return checked_positive(name, *value);
}

double ConfigFields::positive_or(std::string_view name, double otherwise) const {
  const Json* value = find(name);
  return value == nullptr ? otherwise : checked_positive(name, *value);
}

bool ConfigFields::flag_or(std::string_view name, bool otherwise) const {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) refuse(name, shown(*value), "true or false");
  return value->get<bool>();
}

std::string ConfigFields::text_or(std::string_view name, std::string_view otherwise) const {
  const Json* value = find(name);
  if (value == nullptr) return std::string(otherwise);
  if (!value->is_string()) refuse(name, shown(*value), "a string");
  return value->get<std::string>();
}

}  // namespace nvllm::checkpoint
