#include "server/chat_request.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <limits>

#include "server/api_error.h"
#include "server/chat_messages.h"
#include "server/completion_request.h"

namespace nvllm::server {
namespace {

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

/// reasoning_effort: "none" turns thinking off; of the others only templates know the meaning.
void parse_effort(const Fields& fields, ChatRequest& request) {
  constexpr std::string_view kEfforts[] = {"none", "minimal", "low", "medium",
                                           "high", "xhigh",   "max"};
  const auto effort = fields.text("reasoning_effort");
  if (!effort) return;
  if (std::find(std::begin(kEfforts), std::end(kEfforts), *effort) == std::end(kEfforts)) {
    throw bad_field("reasoning_effort",
                    fmt::format("must be one of {}", fmt::join(kEfforts, ", ")));
  }
  if (*effort == "none") request.thinking = Thinking::kOff;
  request.prompt.template_variables.emplace("reasoning_effort", *effort);
}

void parse_calls(const Fields& fields, ChatRequest& request) {
  request.tool_choice = parse_tool_choice(fields, request.prompt.tools);
  const bool several = fields.flag("parallel_tool_calls").value_or(true);
  const bool one = !several || request.tool_choice.kind == ToolChoice::Kind::kNamed;
  request.call_count = one ? CallCount::kOne : CallCount::kAny;
  if (request.tool_choice.kind == ToolChoice::Kind::kNone) request.prompt.tools = nullptr;
  // A reply that is made to begin with a call cannot think before it.
  if (request.tool_choice.forces()) request.thinking = Thinking::kOff;
}

}  // namespace

ChatPrompt parse_chat_prompt(const Fields& fields, const RequestBounds& bounds) {
  for (const std::string_view name :
       {"chat_template", "continue_final_message", "echo", "documents"}) {
    refuse_field(fields, name);
  }
  ChatPrompt prompt;
  prompt.messages = parse_messages(fields, bounds.limits);
  prompt.tools = parse_tools(fields, bounds.limits);
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
  parse_effort(fields, request);
  parse_calls(fields, request);
  if (request.thinking == Thinking::kOff) {
    request.prompt.template_variables["enable_thinking"] = false;
  }
  request.thinking_token_budget =
      fields.integer("thinking_token_budget", {0, std::numeric_limits<std::int32_t>::max()});
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
