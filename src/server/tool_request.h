#pragma once

#include <memory>
#include <string>

#include "server/fields.h"
#include "server/limits.h"
#include "server/parsers/tool_schemas.h"

namespace nvllm::server {

/// Whether a reply may or must call a function, and which one.
struct ToolChoice {
  enum class Kind {
    kNone,      ///< no call: the model is not told of the functions
    kAuto,      ///< as the model likes
    kRequired,  ///< some call
    kNamed,     ///< a call of `name`
  };
  Kind kind = Kind::kAuto;
  std::string name{};

  /// Whether the reply is to begin with a call.
  bool forces() const { return kind == Kind::kRequired || kind == Kind::kNamed; }
};

/// Reads `tools`: as the client wrote them, for the template; null for none.
///   Errors: ApiError 400 naming the field.
Json parse_tools(const Fields& fields, const ServerLimits& limits);

/// Reads `tool_choice`; `tools` as parse_tools has them.
///   Errors: ApiError 400 for a function that `tools` does not have, or a forced call without any.
ToolChoice parse_tool_choice(const Fields& fields, const Json& tools);

/// The schemas of the functions' parameters.
std::shared_ptr<const ToolSchemas> schemas_of(const Json& tools);

/// Whether it can be a function's name: 1 to 64 letters, digits, '_' and '-'.
bool is_function_name(std::string_view name);

}  // namespace nvllm::server
