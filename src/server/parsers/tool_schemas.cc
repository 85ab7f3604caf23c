#include "server/parsers/tool_schemas.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "server/parsers/held_text.h"

namespace nvllm::server {
namespace {

/// References and branches inside of each other beyond this are not followed.
constexpr int kSchemaDepthMax = 8;

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string type_of_value(const Json& value) {
  if (value.is_string()) return "string";
  if (value.is_boolean()) return "boolean";
  if (value.is_null()) return "null";
  if (value.is_array()) return "array";
  if (value.is_object()) return "object";
  return value.is_number_float() ? "number" : "integer";
}

bool is_whole(const Json& value) {
  return value.is_number_integer() ||
         (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()));
}

/// "#/$defs/Place" inside the same schema.
const Json* target_of(const Json& reference, const Json& root) {
  if (!reference.is_string()) return nullptr;
  const auto& text = reference.get_ref<const std::string&>();
  if (!text.starts_with("#/")) return nullptr;
  try {
    const Json::json_pointer pointer(text.substr(1));
    return root.contains(pointer) ? &root.at(pointer) : nullptr;
  } catch (const Json::exception&) {
    return nullptr;  // no pointer at all
  }
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kWhiteSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) - begin + 1);
}

std::string quoted(std::string_view text) {
  std::string json = "\"";
  append_escaped(text, json);
  return json + '"';
}

/// The words that Python prints, as JSON has them; others as they are.
std::string with_json_words(std::string_view text) {
  std::string lower;
  std::transform(text.begin(), text.end(), std::back_inserter(lower),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower == "none") return "null";
  return lower == "null" || lower == "true" || lower == "false" ? lower : std::string(text);
}

}  // namespace

void append_escaped(std::string_view text, std::string& json) {
  for (const char c : text) {
    switch (c) {
      case '"':
        json += "\\\"";
        break;
      case '\\':
        json += "\\\\";
        break;
      case '\n':
        json += "\\n";
        break;
      case '\r':
        json += "\\r";
        break;
      case '\t':
        json += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          json += c;
        }
    }
  }
}

ParameterType::ParameterType(const Json& property, const Json& root) { collect(property, root, 0); }

void ParameterType::collect(const Json& schema, const Json& root, int depth) {
  if (depth > kSchemaDepthMax) return;
  if (const Json* type = member(schema, "type")) {
    for (const Json& word : type->is_array() ? *type : Json::array({*type})) {
      if (word.is_string()) types_.push_back(word.get<std::string>());
    }
    return;
  }
  for (const char* name : {"anyOf", "oneOf"}) {
    const Json* branches = member(schema, name);
    if (branches == nullptr || !branches->is_array()) continue;
    for (const Json& branch : *branches) collect(branch, root, depth + 1);
  }
  if (const Json* reference = member(schema, "$ref")) {
    if (const Json* target = target_of(*reference, root)) collect(*target, root, depth + 1);
  }
  if (const Json* values = member(schema, "enum"); values != nullptr && values->is_array()) {
    for (const Json& value : *values) types_.push_back(type_of_value(value));
  }
  if (const Json* value = member(schema, "const")) types_.push_back(type_of_value(*value));
}

ParameterKind ParameterType::kind() const {
  const auto first = std::find_if(types_.begin(), types_.end(),
                                  [](const std::string& type) { return type != "null"; });
  if (first != types_.end() && *first != "string") return ParameterKind::kJson;
  const bool nullable = std::find(types_.begin(), types_.end(), "null") != types_.end();
  return nullable ? ParameterKind::kTextOrNull : ParameterKind::kText;
}

bool ParameterType::allows(const Json& value) const {
  if (value.is_null()) return true;  // the word for nothing, whatever was declared
  return std::any_of(types_.begin(), types_.end(), [&](const std::string& type) {
    if (type == "integer") return is_whole(value);
    if (type == "number") return value.is_number();
    return type == type_of_value(value);
  });
}

std::string ParameterType::json_of(std::string_view text) const {
  const std::string json = with_json_words(trimmed(text));
  try {
    if (allows(parse_json(json, "parameter of a call"))) return json;
  } catch (const Error&) {
    // It is no JSON, so it is text.
  }
  return quoted(text);
}

ParameterType ToolSchemas::type_of(const std::string& function,
                                   const std::string& parameter) const {
  const auto found = functions_.find(function);
  if (found == functions_.end()) return {};
  const Json* properties = member(found->second, "properties");
  const Json* property = properties == nullptr ? nullptr : member(*properties, parameter.c_str());
  return property == nullptr ? ParameterType() : ParameterType(*property, found->second);
}

}  // namespace nvllm::server
