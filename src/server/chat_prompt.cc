#include "server/chat_prompt.h"

#include <algorithm>

#include "server/api_error.h"
#include "server/endpoints.h"
#include "server/parsers/held_text.h"

namespace nvllm::server {
namespace {

using Pieces = std::vector<tokenizer::RenderedPiece>;

/// Text of messages never becomes a control token: the tokenizer is told which pieces are theirs.
Pieces render(const ServedModel& model, const ChatPrompt& prompt) {
  if (!model.chat_template) {
    throw ApiError(
        {.message = "this model has no chat template; use /v1/completions", .param = "messages"});
  }
  if (!prompt.tools.is_null() && model.speech.calls == CallFormat::kNone) {
    throw bad_field("tools",
                    "is not supported by this model: its chat template shows no format for calls "
                    "(the server's --tool-call-parser can name one)");
  }
  Json variables = prompt.template_variables;
  variables["messages"] = prompt.messages;
  // Templates test these against none, so they are there, as transformers passes them.
  variables["tools"] = prompt.tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = prompt.add_generation_prompt;
  variables["bos_token"] = model.tokenizer.bos_token();
  variables["eos_token"] = model.tokenizer.eos_token();
  variables["pad_token"] = model.tokenizer.pad_token();
  try {
    return model.chat_template->render(variables);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUsage) throw;
    throw ApiError({.message = error.what(), .param = "messages"});
  }
}

std::vector<std::int32_t> encode(const ServedModel& model, const Pieces& pieces) {
  try {
    return tokenizer::encode_pieces(model.tokenizer, pieces);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUsage) throw;
    throw ApiError({.message = error.what(), .param = "messages"});
  }
}

/// Whether the prompt ends behind an opened <think>, by the template's own text.
bool opens_thoughts(const Pieces& pieces) {
  if (pieces.empty() || pieces.back().from_user) return false;
  const std::string& text = pieces.back().text;
  const std::size_t last = text.find_last_not_of(kWhiteSpace);
  return last != std::string::npos &&
         std::string_view(text).substr(0, last + 1).ends_with(kThinkOpen);
}

void append_own_text(Pieces& pieces, std::string text) {
  pieces.push_back({.text = std::move(text), .from_user = false});
}

/// What a client's tool_choice makes the reply begin with. A grammar could do the same after
/// thoughts and hold all of the call to its schema; this is all there is without one.
std::string forced_opening(const ModelSpeech& speech, const ToolChoice& choice) {
  switch (choice.kind) {
    case ToolChoice::Kind::kRequired:
      return call_opening(speech.calls);
    case ToolChoice::Kind::kNamed:
      return call_opening(speech.calls, choice.name);
    default:
      return "";
  }
}

std::vector<std::int32_t> special_tags(const tokenizer::Tokenizer& tokenizer,
                                       const ReplySyntax& reply) {
  std::vector<std::int32_t> ids;
  const auto add = [&](std::string_view tag) {
    const auto id = tokenizer.id_of(tag);
    if (id && tokenizer.is_special(*id)) ids.push_back(*id);
  };
  if (reply.thinking) {
    add(kThinkOpen);
    add(kThinkClose);
  }
  if (reply.calls != CallFormat::kNone) {
    add("<tool_call>");
    add("</tool_call>");
  }
  return ids;
}

engine::ThinkingBudget budget_of(const ServedModel& model, ThinkingStart start,
                                 std::int64_t tokens_max) {
  const auto begin = model.tokenizer.id_of(kThinkOpen), end = model.tokenizer.id_of(kThinkClose);
  if (!begin || !end) {
    throw bad_field("thinking_token_budget",
                    "is not supported: the model's tokenizer has no tokens <think> and </think>");
  }
  return {.begin_id = start == ThinkingStart::kInside ? -1 : *begin,
          .end_id = *end,
          .tokens_max = tokens_max};
}

/// Tokens that a next turn is sure to begin with: those of the messages. Where models think, what the template puts behind them
/// to begin a reply, and the thoughts, are not in the next turn's prompt.
std::vector<std::int64_t> turn_end(const ServedModel& model, const ChatPrompt& prompt, const std::vector<std::int32_t>& ids) {
  if (!model.speech.thinks || !prompt.add_generation_prompt) return {};
  ChatPrompt without = prompt;
  without.add_generation_prompt = false;
  try {
    const std::vector<std::int32_t> messages = encode_chat(model, without);
    return {std::ranges::mismatch(ids, messages).in1 - ids.begin()};
  } catch (const ApiError&) {
    return {};  // the template wants no such prompt
  }
}

}  // namespace

std::vector<std::int32_t> encode_chat(const ServedModel& model, const ChatPrompt& prompt) {
  return encode(model, render(model, prompt));
}

PreparedChat prepare_chat(const ServedModel& model, const ChatRequest& request) {
  if (request.thinking_token_budget && !model.speech.thinks) {
    throw bad_field("thinking_token_budget",
                    "is not supported: this model's chat template shows no <think>");
  }
  Pieces pieces = render(model, request.prompt);
  bool inside = opens_thoughts(pieces);
  if (inside && request.thinking == Thinking::kOff) {
    append_own_text(pieces, "\n</think>\n\n");  // as templates write thoughts that are empty
    inside = false;
  }
  ReplySyntax reply{.call_count = request.call_count};
  if (!request.prompt.tools.is_null()) {
    reply.calls = model.speech.calls;
    reply.tools = schemas_of(request.prompt.tools);
    reply.opening = forced_opening(model.speech, request.tool_choice);
  }
  if (!reply.opening.empty()) append_own_text(pieces, reply.opening);
  if (model.speech.thinks && reply.opening.empty()) {
    reply.thinking = inside ? ThinkingStart::kInside : ThinkingStart::kOutside;
  }
  PreparedChat chat;
  chat.ids = encode(model, pieces);
  chat.cache_points = turn_end(model, request.prompt, chat.ids);
  if (request.thinking_token_budget && reply.thinking) {
    chat.thinking = budget_of(model, *reply.thinking, *request.thinking_token_budget);
  }
  chat.tag_ids = special_tags(model.tokenizer, reply);
  const bool plain = !reply.thinking && reply.calls == CallFormat::kNone;
  if (!plain) chat.reply = std::move(reply);
  return chat;
}

}  // namespace nvllm::server
