#include "server/completion_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "server/api_error.h"

namespace nvllm::server {
namespace {

constexpr std::int64_t kNoCountLimit = std::numeric_limits<std::int64_t>::max();

Prompt parse_one_prompt(const Json& value, const std::string& path, const RequestBounds& bounds) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) {
    throw bad_field(
        path, fmt::format("must be a string or a list of token ids, not {}", value.type_name()));
  }
  if (value.empty()) throw bad_field(path, "is empty; at least one token is wanted");
  return read_ids(value, path, bounds.vocab_size, kNoCountLimit);
}

/// Text, ids, a list of texts or a list of id lists: told apart by what the list holds first.
std::vector<Prompt> parse_prompts(const Fields& fields, const RequestBounds& bounds) {
  const Json* value = fields.find("prompt");
  if (value == nullptr) throw bad_field("prompt", "is required");
  const bool several = value->is_array() && !value->empty() &&
                       (value->front().is_string() || value->front().is_array());
  if (!several) return {parse_one_prompt(*value, "prompt", bounds)};
  if (static_cast<std::int64_t>(value->size()) > bounds.limits.prompt_count_max) {
    throw bad_field("prompt", fmt::format("has {} prompts; at most {} are allowed in one call",
                                          value->size(), bounds.limits.prompt_count_max));
  }
  std::vector<Prompt> prompts;
  for (std::size_t i = 0; i < value->size(); ++i) {
    if ((*value)[i].type() != value->front().type()) {
      throw bad_field("prompt", "must not mix texts and token ids");
    }
    prompts.push_back(parse_one_prompt((*value)[i], fmt::format("prompt[{}]", i), bounds));
  }
  return prompts;
}

/// What only chats can have.
void refuse_chat_fields(const Fields& fields) {
  for (const std::string_view name : {"tools", "thinking_token_budget"}) refuse_field(fields, name);
  const Json* choice = fields.find("tool_choice");
  if (choice == nullptr || *choice == "none" || *choice == "auto") return;
  throw bad_field("tool_choice", "is not supported: there are no tools");
}

}  // namespace

Json parse_body(std::string_view body, const ServerLimits& limits) {
  try {
    return parse_json(body, "the request body", limits.json);
  } catch (const Error& error) {
    throw ApiError({.message = error.what()});
  }
}

CompletionRequest parse_completion_request(std::string_view body, const RequestBounds& bounds) {
  const Json json = parse_body(body, bounds.limits);
  const Fields fields(json);
  CompletionRequest request;
  refuse_chat_fields(fields);
  request.fields = parse_generation_fields(fields, bounds);
  request.prompts = parse_prompts(fields, bounds);
  request.echo = fields.flag("echo").value_or(false);
  request.add_special_tokens = fields.flag("add_special_tokens").value_or(true);
  request.logprobs = fields.integer("logprobs", {0, bounds.limits.top_logprobs_max}).value_or(-1);
  if (!request.fields.max_tokens)
    request.fields.max_tokens = std::max<std::int64_t>(16, request.fields.min_tokens);
  if (*request.fields.max_tokens == 0 && !request.echo) {
    throw bad_field("max_tokens", "is 0; it must be at least 1 unless echo is set");
  }
  request.fields.sampling.top_logprobs = request.logprobs;
  if (request.echo) request.fields.sampling.prompt_logprobs = request.logprobs;
  return request;
}

}  // namespace nvllm::server
