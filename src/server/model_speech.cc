#include "server/model_speech.h"

#include <fmt/format.h>

#include "base/error.h"
#include "server/parsers/think_splitter.h"

namespace nvllm::server {
namespace {

Json probe_variables() {
  Json variables;
  variables["messages"] = Json::array({Json{{"role", "user"}, {"content", "probe"}}});
  variables["tools"] = nullptr;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = true;
  for (const char* name : {"bos_token", "eos_token", "pad_token"}) variables[name] = "";
  return variables;
}

/// A conversation in which a function was called after some thought.
Json call_probe() {
  Json variables = probe_variables();
  Json call;
  call["id"] = "probe";
  call["type"] = "function";
  call["function"]["name"] = "probe";
  call["function"]["arguments"]["key"] = "value";
  variables["messages"].push_back(Json{{"role", "assistant"},
                                       {"content", ""},
                                       {"reasoning_content", "probe"},
                                       {"tool_calls", Json::array({std::move(call)})}});
  variables["messages"].push_back(
      Json{{"role", "tool"}, {"content", "probe"}, {"tool_call_id", "probe"}});
  Json tool;
  tool["type"] = "function";
  tool["function"]["name"] = "probe";
  tool["function"]["description"] = "probe";
  tool["function"]["parameters"] = Json{{"type", "object"}, {"properties", Json::object()}};
  variables["tools"] = Json::array({std::move(tool)});
  return variables;
}

/// The template's own text; "" where it refuses such a conversation.
std::string own_text(const tokenizer::ChatTemplate& chat_template, const Json& variables) {
  std::string text;
  try {
    for (const tokenizer::RenderedPiece& piece : chat_template.render(variables)) {
      if (!piece.from_user) text += piece.text;
    }
  } catch (const Error&) {
    return "";  // it cannot be used that way, so it shows nothing
  }
  return text;
}

ModelSpeech shown_by(const tokenizer::ChatTemplate& chat_template) {
  const std::string calls = own_text(chat_template, call_probe());
  std::string all = calls;
  for (const bool thinking : {true, false}) {
    Json variables = probe_variables();
    variables["enable_thinking"] = thinking;
    all += own_text(chat_template, variables);
  }
  ModelSpeech speech;
  speech.thinks = all.find(kThinkOpen) != std::string::npos;
  if (calls.find("<tool_call>") != std::string::npos) {
    const bool tags = calls.find("<function=") != std::string::npos;
    speech.calls = tags ? CallFormat::kQwenXml : CallFormat::kHermes;
  }
  return speech;
}

std::string_view name_of(CallFormat format) {
  switch (format) {
    case CallFormat::kNone:
      break;
    case CallFormat::kHermes:
      return "hermes";
    case CallFormat::kQwenXml:
      return "qwen3_xml";
  }
  return "none";
}

CallFormat format_named(const std::string& name) {
  if (name == "none") return CallFormat::kNone;
  if (name == "hermes") return CallFormat::kHermes;
  if (name == "qwen3_xml" || name == "qwen3_coder") return CallFormat::kQwenXml;
  throw Error(ErrorKind::kUsage,
              fmt::format("--tool-call-parser: '{}' is unknown; there are auto, hermes, qwen3_xml "
                          "(or qwen3_coder) and none",
                          name));
}

bool thinks_by_name(const std::string& name) {
  if (name == "none") return false;
  if (name == "think" || name == "qwen3" || name == "deepseek_r1") return true;
  throw Error(ErrorKind::kUsage,
              fmt::format("--reasoning-parser: '{}' is unknown; there are auto, think (or qwen3, "
                          "deepseek_r1) and none",
                          name));
}

}  // namespace

ModelSpeech speech_of(const std::optional<tokenizer::ChatTemplate>& chat_template,
                      const SpeechOptions& options) {
  ModelSpeech speech = chat_template ? shown_by(*chat_template) : ModelSpeech{};
  if (options.reasoning_parser != "auto") speech.thinks = thinks_by_name(options.reasoning_parser);
  if (options.tool_call_parser != "auto") speech.calls = format_named(options.tool_call_parser);
  return speech;
}

std::string to_string(const ModelSpeech& speech) {
  return fmt::format("thinking={} calls={}", speech.thinks ? "yes" : "no", name_of(speech.calls));
}

}  // namespace nvllm::server
