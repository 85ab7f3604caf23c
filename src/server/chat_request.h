#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "server/generation_fields.h"
#include "server/parsers/tool_call_parser.h"
#include "server/tool_request.h"

namespace nvllm::server {

/// The messages of a chat and what the template is told about them.
struct ChatPrompt {
  Json messages{};  ///< as parse_messages has them
  Json tools{};     ///< as parse_tools has them
  bool add_generation_prompt = true;
  Json template_variables = Json::object();  ///< chat_template_kwargs: flags, numbers, plain words
};

/// Whether the model is to think before it answers.
enum class Thinking {
  kAsTemplateSays,  ///< chat_template_kwargs may tell the template
  kOff,             ///< no thoughts, even where the template goes on to open them
};

/// The body of POST /v1/chat/completions.
struct ChatRequest {
  GenerationFields fields{};
  ChatPrompt prompt{};
  bool logprobs = false;
  Thinking thinking = Thinking::kAsTemplateSays;
  std::optional<std::int64_t> thinking_token_budget{};
  ToolChoice tool_choice{};
  CallCount call_count = CallCount::kAny;
};

/// Reads a body.
///   Errors: ApiError 400 naming the field.
ChatRequest parse_chat_request(std::string_view body, const RequestBounds& bounds);

/// Reads the fields that say what the template gets; /tokenize has them, too.
ChatPrompt parse_chat_prompt(const Fields& fields, const RequestBounds& bounds);

}  // namespace nvllm::server
