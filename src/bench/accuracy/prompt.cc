#include "bench/accuracy/prompt.h"

#include <fmt/format.h>

#include <array>

#include "base/hashing.h"
#include "bench/store/canonical_json.h"

namespace nvllm::bench {

std::string_view to_string(PromptTemplate format) {
  constexpr std::array<std::string_view, 3> kNames = {"reference", "demo", "chat"};
  return kNames[static_cast<std::size_t>(format)];
}

std::optional<PromptTemplate> parse_prompt_template(std::string_view text) {
  using enum PromptTemplate;
  if (text == "completion") return kDemo;
  for (const PromptTemplate format : {kReference, kDemo, kChat}) {
    if (to_string(format) == text) return format;
  }
  return std::nullopt;
}

std::string prompt_of(PromptTemplate format, std::string_view question) {
  switch (format) {
    case PromptTemplate::kReference:
      return fmt::format("Q: {}\nA: Let me solve this step by step.\n", question);
    case PromptTemplate::kDemo:
      return fmt::format("Question: {}\nAnswer: ", question);
    case PromptTemplate::kChat:
      break;
  }
  return std::string(question);
}

std::vector<std::string> stop_texts(PromptTemplate format) {
  if (format == PromptTemplate::kReference) return {"\nQ:", "\nQuestion:"};
  return {};
}

std::string template_sha256(PromptTemplate format) {
  return canonical_hash(Json{
      {"endpoint", endpoint_of(format)}, {"prompt", prompt_of(format, "{question}")}, {"stop", stop_texts(format)}});
}

std::string_view endpoint_of(PromptTemplate format) {
  return format == PromptTemplate::kChat ? "/v1/chat/completions" : "/v1/completions";
}

Json prompt_fields(PromptTemplate format, std::string_view question) {
  Json fields;
  const std::string prompt = prompt_of(format, question);
  if (format == PromptTemplate::kChat) {
    fields["messages"] = Json::array({Json{{"role", "user"}, {"content", prompt}}});
  } else {
    fields["prompt"] = prompt;
  }
  if (const auto stops = stop_texts(format); !stops.empty()) fields["stop"] = stops;
  return fields;
}

}  // namespace nvllm::bench
