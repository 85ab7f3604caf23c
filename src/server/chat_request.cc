#include "server/chat_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <limits>

#include "server/api_error.h"
#include "server/completion_request.h"

namespace nvllm::server {
namespace {

constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant"};

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

Json parse_message(const Json& value, const std::string& path) {
  const Fields fields(value, path + ".");
  const auto role = fields.text("role");
  if (!role) throw bad_field(fields.path_of("role"), "is required");
  if (std::find(std::begin(kRoles), std::end(kRoles), *role) == std::end(kRoles)) {
    throw bad_field(fields.path_of("role"),
                    "must be \"system\", \"developer\", \"user\" or \"assistant\"");
  }
  for (const std::string_view name : {"tool_calls", "function_call", "audio"}) {
    refuse_field(fields, name);
  }
  const Json* content = fields.find("content");
  if (content == nullptr && *role != "assistant") {
    throw bad_field(fields.path_of("content"), "is required");
  }
  Json message;
  message["role"] = *role;
  message["content"] = content == nullptr ? "" : parse_content(*content, fields.path_of("content"));
  for (const char* name : {"name", "reasoning_content"}) {
    if (const auto text = fields.text(name)) message[name] = *text;
  }
  return message;
}

/// What the template may be told besides the messages. Its other variables count as the template's
/// own words, so text that could spell a control token must not come in this way.
Json parse_template_variables(const Fields& fields) {
  Json variables = Json::object();
  const Json* value = fields.find("chat_template_kwargs");
  if (value == nullptr) return variables;
  const Fields inner(*value, "chat_template_kwargs.");
  constexpr std::string_view kReserved[] = {"messages",
                                            "tools",
                                            "documents",
                                            "bos_token",
                                            "eos_token",
                                            "pad_token",
                                            "add_generation_prompt"};
  const auto plain = [](const std::string& text) {
    return text.size() <= 32 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
             return std::isalnum(c) != 0 || c == '_' || c == '-';
           });
  };
  for (const auto& [key, entry] : value->items()) {
    if (!plain(key) ||
        std::find(std::begin(kReserved), std::end(kReserved), key) != std::end(kReserved)) {
      throw bad_field("chat_template_kwargs", "holds a name that is not free for requests");
    }
    const bool word = entry.is_string() && plain(entry.get_ref<const std::string&>());
    if (!word && !entry.is_boolean() && !entry.is_number() && !entry.is_null()) {
      throw bad_field(inner.path_of(key),
                      "must be true, false, a number or a word of letters and digits");
    }
    variables[key] = entry;
  }
  return variables;
}

}  // namespace

ChatPrompt parse_chat_prompt(const Fields& fields, const RequestBounds& bounds) {
  for (const std::string_view name :
       {"chat_template", "continue_final_message", "echo", "documents", "tools"}) {
    refuse_field(fields, name);
  }
  const Json* messages = fields.find("messages");
  if (messages == nullptr) throw bad_field("messages", "is required");
  if (!messages->is_array() || messages->empty()) {
    throw bad_field("messages", "must be a list with at least one message");
  }
  if (static_cast<std::int64_t>(messages->size()) > bounds.limits.message_count_max) {
    throw bad_field("messages", fmt::format("has {} entries; at most {} are allowed",
                                            messages->size(), bounds.limits.message_count_max));
  }
  ChatPrompt prompt;
  prompt.messages = Json::array();
  for (std::size_t i = 0; i < messages->size(); ++i) {
    prompt.messages.push_back(parse_message((*messages)[i], fmt::format("messages[{}]", i)));
  }
  prompt.add_generation_prompt = fields.flag("add_generation_prompt").value_or(true);
  prompt.template_variables = parse_template_variables(fields);
  return prompt;
}

ChatRequest parse_chat_request(std::string_view body, const RequestBounds& bounds) {
  const Json json = parse_body(body, bounds.limits);
  const Fields fields(json);
  ChatRequest request;
  request.fields = parse_generation_fields(fields, bounds);
  request.prompt = parse_chat_prompt(fields, bounds);
  const auto newer =
      fields.integer("max_completion_tokens", {1, std::numeric_limits<std::int32_t>::max()});
  if (newer) request.fields.max_tokens = newer;  // the newer name wins, as in vLLM
  const auto max_tokens = request.fields.max_tokens;
  if (max_tokens && *max_tokens == 0) throw bad_field("max_tokens", "is 0; it must be at least 1");
  if (max_tokens && request.fields.min_tokens > *max_tokens) {
    throw bad_field("min_tokens", fmt::format("is {}; it must not be above the token limit, {}",
                                              request.fields.min_tokens, *max_tokens));
  }
  request.logprobs = fields.flag("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", {0, bounds.limits.top_logprobs_max});
  if (top && *top > 0 && !request.logprobs) {
    throw bad_field("top_logprobs", "is only allowed together with logprobs");
  }
  if (request.logprobs) request.fields.sampling.top_logprobs = top.value_or(0);
  return request;
}

}  // namespace nvllm::server
