#pragma once

#include <string_view>

#include "server/generation_fields.h"

namespace nvllm::server {

/// The messages of a chat and what the template is told about them.
struct ChatPrompt {
  Json messages{};  ///< a list of {"role", "content", ...}, content always a string
  bool add_generation_prompt = true;
  Json template_variables = Json::object();  ///< chat_template_kwargs: flags, numbers, plain words
};

/// The body of POST /v1/chat/completions.
struct ChatRequest {
  GenerationFields fields{};
  ChatPrompt prompt{};
  bool logprobs = false;
};

/// Reads a body.
///   Errors: ApiError 400 naming the field.
ChatRequest parse_chat_request(std::string_view body, const RequestBounds& bounds);

/// Reads the fields that say what the template gets; /tokenize has them, too.
ChatPrompt parse_chat_prompt(const Fields& fields, const RequestBounds& bounds);

}  // namespace nvllm::server
