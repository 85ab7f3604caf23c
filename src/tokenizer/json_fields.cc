#include "tokenizer/json_fields.h"

#include <fmt/format.h>

#include "base/error.h"

namespace nvllm::tokenizer {

namespace {

std::string shown(const Json& value) {
  std::string text = dump_json(value);
  if (text.size() > 80) text = text.substr(0, 80) + "...";
  return text;
}

const Json* find(const Json& node, const char* name, std::string_view where) {
  if (!node.is_object()) bad_file(where, fmt::format("is {}, wanted an object", shown(node)));
  const auto field = node.find(name);
  return field == node.end() ? nullptr : &*field;
}

}  // namespace

void bad_file(std::string_view where, std::string_view why) {
  throw Error(ErrorKind::kBadFile, fmt::format("{}: {}", where, why));
}

void unsupported(std::string_view where, std::string_view seen, std::string_view wanted) {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("{}: {} is not supported; nvllm reads byte-level BPE with {}", where,
                          seen, wanted));
}

std::string type_of(const Json& node, std::string_view where) {
  return string_field(node, "type", where);
}

bool bool_field(const Json& node, const char* name, bool otherwise, std::string_view where) {
  const Json* field = find(node, name, where);
  if (field == nullptr || field->is_null()) return otherwise;
  if (!field->is_boolean()) {
    bad_file(where, fmt::format("field '{}' is {}, wanted true or false", name, shown(*field)));
  }
  return field->get<bool>();
}

std::string string_field(const Json& node, const char* name, std::string_view where) {
  const Json* field = find(node, name, where);
  if (field == nullptr) bad_file(where, fmt::format("field '{}' is missing", name));
  if (!field->is_string()) {
    bad_file(where, fmt::format("field '{}' is {}, wanted a string", name, shown(*field)));
  }
  return field->get<std::string>();
}

const Json& array_field(const Json& node, const char* name, std::string_view where) {
  const Json* field = find(node, name, where);
  if (field == nullptr) bad_file(where, fmt::format("field '{}' is missing", name));
  if (!field->is_array()) {
    bad_file(where, fmt::format("field '{}' is {}, wanted a list", name, shown(*field)));
  }
  return *field;
}

std::int32_t id_value(const Json& value, std::string_view where) {
  if (!value.is_number_integer()) {
    bad_file(where, fmt::format("id {} is not an integer", shown(value)));
  }
  const bool huge = value.is_number_unsigned() &&
                    value.get<std::uint64_t>() > static_cast<std::uint64_t>(kTokenIdMax);
  if (huge || value.get<std::int64_t>() < 0) {
    bad_file(where,
             fmt::format("id {} is out of range, wanted 0 to {}", shown(value), kTokenIdMax));
  }
  return value.get<std::int32_t>();
}

}  // namespace nvllm::tokenizer
