#pragma once

#include <optional>
#include <string>

#include "server/parsers/tool_call_parser.h"
#include "tokenizer/chat_template.h"

namespace nvllm::server {

/// How a model writes what is not plain content.
struct ModelSpeech {
  bool thinks = false;  ///< between <think> and </think>
  CallFormat calls = CallFormat::kNone;
};

/// What is asked for by flags: "auto" looks at the chat template.
struct SpeechOptions {
  std::string reasoning_parser = "auto";  ///< auto, think (also qwen3, deepseek_r1), none
  std::string tool_call_parser = "auto";  ///< auto, hermes, qwen3_xml (also qwen3_coder), none
};

/// How a model speaks. Its chat template shows it: a made-up conversation with a call and thoughts
/// is rendered, and so is the beginning of an answer; what counts is the template's own text, with
/// <think>, <function= or <tool_call> in it. A template that renders none of it speaks plainly.
///   Errors: Error(kUsage) for an unknown parser.
ModelSpeech speech_of(const std::optional<tokenizer::ChatTemplate>& chat_template,
                      const SpeechOptions& options = {});

/// "thinking=yes calls=qwen3_xml", for logs.
std::string to_string(const ModelSpeech& speech);

}  // namespace nvllm::server
