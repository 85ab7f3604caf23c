#pragma once

#include <string_view>
#include <variant>
#include <vector>

#include "server/generation_fields.h"

namespace nvllm::server {

/// A prompt as the client gave it: text or token ids.
using Prompt = std::variant<std::string, std::vector<std::int32_t>>;

/// The body of POST /v1/completions.
struct CompletionRequest {
  GenerationFields fields{};
  std::vector<Prompt> prompts{};
  bool echo = false;
  bool add_special_tokens = true;  ///< frame text prompts as the tokenizer's post-processor does
  std::int64_t logprobs = -1;      ///< alternatives per token; -1: none at all
};

/// Reads a body.
///   Errors: ApiError 400 naming the field.
CompletionRequest parse_completion_request(std::string_view body, const RequestBounds& bounds);

/// The JSON of any request body, under the server's limits.
///   Errors: ApiError 400 with the position.
Json parse_body(std::string_view body, const ServerLimits& limits);

}  // namespace nvllm::server
