#include "server/chat_messages.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/api_error.h"
#include "server/generation_fields.h"
#include "server/tool_request.h"

namespace nvllm::server {
namespace {

constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool"};

/// A string, or a list of {"type": "text", "text": ...} parts, joined by line ends as vLLM does.
std::string parse_content(const Json& content, const std::string& path) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) {
    throw bad_field(
        path, fmt::format("must be a string or a list of text parts, not {}", content.type_name()));
  }
  std::string joined;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const Fields part(content[i], fmt::format("{}[{}].", path, i));
    const auto type = part.text("type");
    if (!type || *type != "text") {
      throw bad_field(part.path_of("type"), "must be \"text\": other content is not supported");
    }
    const auto text = part.text("text");
    if (!text) throw bad_field(part.path_of("text"), "is required");
    if (i > 0) joined += '\n';
    joined += *text;
  }
  return joined;
}

/// Reads messages and adds up the bytes of arguments, which are parsed once more.
class MessageReader {
 public:
  explicit MessageReader(const ServerLimits& limits) : limits_(limits) {}

  Json read(const Json& value, const std::string& path) {
    const Fields fields(value, path + ".");
    const std::string role = read_role(fields);
    for (const std::string_view name : {"function_call", "audio"}) refuse_field(fields, name);
    const Json* content = fields.find("content");
    if (content == nullptr && role != "assistant") {
      throw bad_field(fields.path_of("content"), "is required");
    }
    Json message;
    message["role"] = role;
    message["content"] =
        content == nullptr ? "" : parse_content(*content, fields.path_of("content"));
    for (const char* name : {"name", "tool_call_id"}) {
      if (const auto text = fields.text(name)) message[name] = *text;
    }
    // Both names are in use; templates know the longer one.
    const auto newer = fields.text("reasoning"), older = fields.text("reasoning_content");
    if (newer || older) message["reasoning_content"] = older ? *older : *newer;
    if (Json calls = read_calls(fields, role); !calls.empty()) {
      message["tool_calls"] = std::move(calls);
    }
    return message;
  }

 private:
  static std::string read_role(const Fields& fields) {
    const auto role = fields.text("role");
    if (!role) throw bad_field(fields.path_of("role"), "is required");
    if (std::find(std::begin(kRoles), std::end(kRoles), *role) == std::end(kRoles)) {
      throw bad_field(fields.path_of("role"),
                      "must be \"system\", \"developer\", \"user\", \"assistant\" or \"tool\"");
    }
    return *role;
  }

  Json read_calls(const Fields& fields, const std::string& role) {
    Json calls = Json::array();
    const Json* value = fields.find("tool_calls");
    const std::string path = fields.path_of("tool_calls");
    if (value == nullptr || (value->is_structured() && value->empty())) return calls;
    if (!value->is_array()) {
      throw bad_field(path, fmt::format("must be a list of calls, not {}", value->type_name()));
    }
    if (role != "assistant") throw bad_field(path, "is only allowed in messages of the assistant");
    for (std::size_t i = 0; i < value->size(); ++i) {
      calls.push_back(read_call((*value)[i], fmt::format("{}[{}]", path, i)));
    }
    return calls;
  }

  Json read_call(const Json& value, const std::string& path) {
    const Fields fields(value, path + ".");
    const auto type = fields.text("type");
    if (type && *type != "function") {
      throw bad_field(fields.path_of("type"), "must be \"function\"");
    }
    const Json* inner = fields.find("function");
    if (inner == nullptr) throw bad_field(fields.path_of("function"), "is required");
    const Fields function(*inner, path + ".function.");
    const auto name = function.text("name");
    if (!name) throw bad_field(function.path_of("name"), "is required");
    Json call;
    if (const auto id = fields.text("id")) call["id"] = *id;
    call["type"] = "function";
    call["function"]["name"] = *name;
    call["function"]["arguments"] = read_arguments(function);
    return call;
  }

  /// Templates walk through arguments, so the text that clients send becomes an object here.
  Json read_arguments(const Fields& function) {
    const std::string path = function.path_of("arguments");
    const Json* value = function.find("arguments");
    if (value == nullptr || *value == "") return Json::object();
    if (value->is_object()) return *value;
    if (!value->is_string()) {
      throw bad_field(path, fmt::format("must be a string that holds a JSON object, not {}",
                                        value->type_name()));
    }
    const auto& text = value->get_ref<const std::string&>();
    argument_bytes_ += static_cast<std::int64_t>(text.size());
    if (argument_bytes_ > limits_.call_arguments_bytes_max) {
      throw bad_field(path, fmt::format("goes beyond the {} bytes that the arguments of all calls "
                                        "in messages may take",
                                        limits_.call_arguments_bytes_max));
    }
    Json arguments;
    try {
      arguments = parse_json(text, path, limits_.json);
    } catch (const Error&) {
      // Not what the parser says: it repeats bytes of the request.
      throw bad_field(path,
                      "must be a string that holds a JSON object; this one is not valid JSON");
    }
    if (arguments.is_object()) return arguments;
    throw bad_field(path,
                    fmt::format("must be a string that holds a JSON object; this one holds {}",
                                arguments.type_name()));
  }

  const ServerLimits& limits_;
  std::int64_t argument_bytes_ = 0;
};

}  // namespace

Json parse_messages(const Fields& fields, const ServerLimits& limits) {
  const Json* messages = fields.find("messages");
  if (messages == nullptr) throw bad_field("messages", "is required");
  if (!messages->is_array() || messages->empty()) {
    throw bad_field("messages", "must be a list with at least one message");
  }
  if (static_cast<std::int64_t>(messages->size()) > limits.message_count_max) {
    throw bad_field("messages", fmt::format("has {} entries; at most {} are allowed",
                                            messages->size(), limits.message_count_max));
  }
  MessageReader reader(limits);
  Json read = Json::array();
  for (std::size_t i = 0; i < messages->size(); ++i) {
    read.push_back(reader.read((*messages)[i], fmt::format("messages[{}]", i)));
  }
  return read;
}

}  // namespace nvllm::server
