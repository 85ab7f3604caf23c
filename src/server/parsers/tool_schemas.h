#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace nvllm::server {

/// How the text of a parameter becomes JSON.
enum class ParameterKind {
  kText,        ///< always a string
  kTextOrNull,  ///< a string, but for the word null
  kJson,        ///< what it says as JSON, where that is of a type the schema names; else a string
};

/// What one parameter of a function may be, by its JSON schema: `type` as a word or a list, the
/// branches of anyOf and oneOf, $ref into the same schema, and the types of enum and const values.
/// Where a schema says nothing of the type, it is text. Of several types the first that is not null
/// decides whether it is text, as it does in vLLM.
class ParameterType {
 public:
  ParameterType() = default;
  /// `property` is the parameter's own schema, `root` the function's, for references.
  ParameterType(const Json& property, const Json& root);

  ParameterKind kind() const;
  /// The JSON text of a value of kind kJson. Python's True, False and None are read, too, since
  /// templates print them.
  std::string json_of(std::string_view text) const;

 private:
  void collect(const Json& schema, const Json& root, int depth);
  bool allows(const Json& value) const;

  std::vector<std::string> types_;
};

/// The functions that a reply may call.
class ToolSchemas {
 public:
  /// `parameters` is the schema of an object, or null.
  void add(std::string name, Json parameters) {
    functions_.emplace(std::move(name), std::move(parameters));
  }
  bool has(const std::string& name) const { return functions_.contains(name); }
  /// Text for a function or parameter that nobody declared.
  ParameterType type_of(const std::string& function, const std::string& parameter) const;

 private:
  std::map<std::string, Json> functions_;
};

/// Adds text to the inside of a JSON string.
void append_escaped(std::string_view text, std::string& json);

}  // namespace nvllm::server
