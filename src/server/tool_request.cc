#include "server/tool_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "server/api_error.h"

namespace nvllm::server {
namespace {

constexpr std::size_t kNameBytesMax = 64;

/// The name in a {"name": ...} object of a tool, a choice or a call.
std::string parse_function_name(const Fields& function) {
  const auto name = function.text("name");
  if (!name) throw bad_field(function.path_of("name"), "is required");
  if (!is_function_name(*name)) {
    throw bad_field(function.path_of("name"),
                    "must have 1 to 64 characters, each a letter, a digit, '_' or '-'");
  }
  return *name;
}

void require_function_type(const Fields& fields) {
  const auto type = fields.text("type");
  if (!type) throw bad_field(fields.path_of("type"), "is required; it must be \"function\"");
  if (*type != "function") throw bad_field(fields.path_of("type"), "must be \"function\"");
}

const Json& require_function(const Fields& fields) {
  const Json* function = fields.find("function");
  if (function == nullptr) throw bad_field(fields.path_of("function"), "is required");
  return *function;
}

void check_tool(const Json& tool, const std::string& path) {
  const Fields fields(tool, path + ".");
  require_function_type(fields);
  const Fields function(require_function(fields), path + ".function.");
  parse_function_name(function);
  function.text("description");  // a wrong type is refused
  const Json* parameters = function.find("parameters");
  if (parameters != nullptr && !parameters->is_object()) {
    throw bad_field(
        function.path_of("parameters"),
        fmt::format("must be an object, a JSON schema, not {}", parameters->type_name()));
  }
}

bool has_function(const Json& tools, const std::string& name) {
  return tools.is_array() && std::any_of(tools.begin(), tools.end(), [&](const Json& tool) {
           return tool["function"]["name"] == name;
         });
}

}  // namespace

bool is_function_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; });
}

Json parse_tools(const Fields& fields, const ServerLimits& limits) {
  const Json* tools = fields.find("tools");
  if (tools == nullptr) return nullptr;
  if (!tools->is_array()) {
    throw bad_field("tools",
                    fmt::format("must be a list of functions, not {}", tools->type_name()));
  }
  if (static_cast<std::int64_t>(tools->size()) > limits.tool_count_max) {
    throw bad_field("tools", fmt::format("has {} entries; at most {} are allowed", tools->size(),
                                         limits.tool_count_max));
  }
  for (std::size_t i = 0; i < tools->size(); ++i)
    check_tool((*tools)[i], fmt::format("tools[{}]", i));
  const auto bytes = static_cast<std::int64_t>(dump_json(*tools).size());
  if (bytes > limits.tools_bytes_max) {
    throw bad_field("tools", fmt::format("take {} bytes; at most {} are allowed", bytes,
                                         limits.tools_bytes_max));
  }
  return tools->empty() ? Json(nullptr) : *tools;
}

ToolChoice parse_tool_choice(const Fields& fields, const Json& tools) {
  const Json* value = fields.find("tool_choice");
  if (value == nullptr) return {};
  ToolChoice choice;
  if (value->is_string()) {
    const auto& word = value->get_ref<const std::string&>();
    if (word == "auto") return choice;
    if (word != "none" && word != "required") {
      throw bad_field(
          "tool_choice",
          "must be \"none\", \"auto\", \"required\" or an object that names a function");
    }
    choice.kind = word == "none" ? ToolChoice::Kind::kNone : ToolChoice::Kind::kRequired;
  } else {
    const Fields inner(*value, "tool_choice.");
    require_function_type(inner);
    choice.kind = ToolChoice::Kind::kNamed;
    choice.name = parse_function_name(Fields(require_function(inner), "tool_choice.function."));
  }
  if (choice.forces() && tools.is_null()) {
    throw bad_field("tool_choice", "asks for a call, and there are no tools");
  }
  if (choice.kind == ToolChoice::Kind::kNamed && !has_function(tools, choice.name)) {
    throw bad_field("tool_choice.function.name", "is no function of tools");
  }
  return choice;
}

std::shared_ptr<const ToolSchemas> schemas_of(const Json& tools) {
  auto schemas = std::make_shared<ToolSchemas>();
  for (const Json& tool : tools) {
    const Json& function = tool["function"];
    schemas->add(function["name"].get<std::string>(), function.value("parameters", Json()));
  }
  return schemas;
}

}  // namespace nvllm::server
