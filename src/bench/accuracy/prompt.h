#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace nvllm::bench {

/// How a question is put to the model.
enum class PromptTemplate {
  kReference,  ///< "Q: ...\nA: Let me solve this step by step.\n", ends at a new question
  kDemo,       ///< "Question: ...\nAnswer: ", what the demo model was trained on
  kChat,       ///< the question as a user's message; the server's own chat template
};

/// "reference", "demo", "chat".
std::string_view to_string(PromptTemplate format);

/// The template of that name ("completion" names kDemo, too), or nothing.
std::optional<PromptTemplate> parse_prompt_template(std::string_view text);

/// What the server gets: the prompt of a completion, or the content of the only message.
std::string prompt_of(PromptTemplate format, std::string_view question);

/// Texts at which an answer ends.
std::vector<std::string> stop_texts(PromptTemplate format);

/// Digest of everything that surrounds a question, stop texts included.
std::string template_sha256(PromptTemplate format);

/// "/v1/completions" or "/v1/chat/completions".
std::string_view endpoint_of(PromptTemplate format);

/// The fields of a request that come from the template: prompt or messages, and stop.
Json prompt_fields(PromptTemplate format, std::string_view question);

}  // namespace nvllm::bench
