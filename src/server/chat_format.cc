// The objects of /v1/chat/completions: "chat.completion", in chunks or whole.
#include <fmt/format.h>

#include <algorithm>

#include "server/reply_format.h"

namespace nvllm::server {
namespace {

using engine::ScoredToken;

class ChatFormat final : public ReplyFormat {
 public:
  ChatFormat(ReplyContext context, Logprobs logprobs)
      : context_(std::move(context)),
        logprobs_(logprobs == Logprobs::kReported),
        calls_(static_cast<std::size_t>(context_.n), 0) {}

  std::vector<Json> opening_chunks() override {
    std::vector<Json> chunks;
    for (std::int64_t i = 0; i < context_.n; ++i) {
      Json choice;
      choice["index"] = i;
      choice["delta"]["role"] = "assistant";
      choice["delta"]["content"] = "";
      choice["logprobs"] = nullptr;
      choice["finish_reason"] = nullptr;
      Json object = empty_chunk();
      if (wants_ids()) object["prompt_token_ids"] = context_.prompts.front().ids;
      object["choices"].push_back(std::move(choice));
      chunks.push_back(std::move(object));
    }
    return chunks;
  }

  std::vector<Json> chunks(std::size_t index, const ChoiceNews& news) override {
    std::vector<Json> deltas;
    if (news.parts) {
      for (const ReplyPart& part : *news.parts) {
        if (is_wanted(part)) deltas.push_back(delta_of(index, part));
      }
    } else if (!news.text.empty()) {
      deltas.push_back(Json{{"content", news.text}});
    }
    const bool speaks = !deltas.empty() || news.finish != engine::FinishReason::kNone ||
                        ((logprobs_ || wants_ids()) && !news.tokens.empty());
    if (!speaks) return {};
    if (deltas.empty()) deltas.push_back(silent_delta(news));
    std::vector<Json> chunks;
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      const bool first = i == 0, last = i + 1 == deltas.size();
      Json choice;
      choice["index"] = index;
      choice["delta"] = std::move(deltas[i]);
      choice["logprobs"] = first ? logprobs_of(news) : Json(nullptr);
      choice["finish_reason"] = last ? finish_of_choice(news, calls_[index]) : Json(nullptr);
      if (!choice["finish_reason"].is_null()) choice["stop_reason"] = news.stop_reason;
      if (wants_ids()) choice["token_ids"] = first ? ids_of(news.tokens) : Json::array();
      Json object = empty_chunk();
      object["choices"].push_back(std::move(choice));
      chunks.push_back(std::move(object));
    }
    return chunks;
  }

  Json empty_chunk() override { return head("chat.completion.chunk"); }

  Json whole(const std::vector<ChoiceNews>& choices) override {
    Json object = head("chat.completion");
    for (std::size_t i = 0; i < choices.size(); ++i) {
      Json choice;
      choice["index"] = i;
      choice["message"] = message_of(i, choices[i]);
      choice["logprobs"] = logprobs_of(choices[i]);
      choice["finish_reason"] = finish_of_choice(choices[i], calls_in(choices[i]));
      choice["stop_reason"] = choices[i].stop_reason;
      if (wants_ids()) choice["token_ids"] = ids_of(choices[i].tokens);
      object["choices"].push_back(std::move(choice));
    }
    if (wants_ids()) object["prompt_token_ids"] = context_.prompts.front().ids;
    return object;
  }

 private:
  bool wants_ids() const { return context_.delivery.return_token_ids; }

  Json head(const char* kind) const {
    Json object;
    object["id"] = context_.header.id;
    object["object"] = kind;
    object["created"] = context_.header.created;
    object["model"] = context_.header.model;
    object["choices"] = Json::array();
    return object;
  }

  /// Of a chunk that has tokens or an end to tell, but no text.
  static Json silent_delta(const ChoiceNews& news) {
    const bool names_content = !news.parts && news.finish == engine::FinishReason::kNone;
    return names_content ? Json{{"content", ""}} : Json::object();
  }

  /// The same in chunks and whole answers; differs between calls of one answer and between answers.
  std::string call_id(std::size_t choice, std::int64_t call) const {
    const std::string& id = context_.header.id;
    return fmt::format("call_{}_{}_{}", id.substr(id.find('-') + 1), choice, call);
  }

  Json call_of(std::size_t choice, const ReplyPart& part) const {
    Json call;
    call["id"] = call_id(choice, part.call);
    call["type"] = "function";
    call["function"]["name"] = part.text;
    call["function"]["arguments"] = "";
    return call;
  }

  /// Under both names that clients look for.
  static void add_reasoning(const std::string& text, Json& object) {
    object["reasoning"] = text;
    object["reasoning_content"] = text;
  }

  Json delta_of(std::size_t choice, const ReplyPart& part) {
    Json delta;
    Json call;
    switch (part.kind) {
      case ReplyPart::Kind::kReasoning:
        add_reasoning(part.text, delta);
        return delta;
      case ReplyPart::Kind::kContent:
        delta["content"] = part.text;
        return delta;
      case ReplyPart::Kind::kCall:
        ++calls_[choice];
        call["index"] = part.call;
        call.update(call_of(choice, part));
        break;
      case ReplyPart::Kind::kArguments:
        call["index"] = part.call;
        call["function"]["arguments"] = part.text;
        break;
    }
    delta["tool_calls"].push_back(std::move(call));
    return delta;
  }

  /// Content is null where there is something else in its place.
  Json message_of(std::size_t choice, const ChoiceNews& news) const {
    std::string content = news.text, reasoning;
    Json calls = Json::array();
    for (const ReplyPart& part : news.parts.value_or(std::vector<ReplyPart>())) {
      switch (part.kind) {
        case ReplyPart::Kind::kReasoning:
          reasoning += part.text;
          break;
        case ReplyPart::Kind::kContent:
          content += part.text;
          break;
        case ReplyPart::Kind::kCall:
          calls.push_back(call_of(choice, part));
          break;
        case ReplyPart::Kind::kArguments:
          calls.back()["function"]["arguments"].get_ref<std::string&>() += part.text;
          break;
      }
    }
    Json message;
    message["role"] = "assistant";
    message["content"] = content;
    if (content.empty() && (!reasoning.empty() || !calls.empty())) message["content"] = nullptr;
    const bool shown = context_.delivery.include_reasoning && !reasoning.empty();
    if (shown) add_reasoning(reasoning, message);
    if (!calls.empty()) message["tool_calls"] = std::move(calls);
    return message;
  }

  bool is_wanted(const ReplyPart& part) const {
    return part.kind != ReplyPart::Kind::kReasoning || context_.delivery.include_reasoning;
  }

  static std::size_t calls_in(const ChoiceNews& news) {
    if (!news.parts) return 0;
    return static_cast<std::size_t>(
        std::count_if(news.parts->begin(), news.parts->end(),
                      [](const ReplyPart& part) { return part.kind == ReplyPart::Kind::kCall; }));
  }

  /// A reply that ended by itself and has calls wants them answered.
  static Json finish_of_choice(const ChoiceNews& news, std::size_t call_count) {
    return call_count > 0 && news.finish == engine::FinishReason::kStop ? Json("tool_calls")
                                                                        : finish_of(news);
  }

  Json logprobs_of(const ChoiceNews& news) const {
    if (!logprobs_) return nullptr;
    Json content = Json::array();
    for (const ScoredToken& token : news.tokens) {
      Json entry = entry_of(token.id, token.logprob.value_or(0));
      entry["top_logprobs"] = Json::array();
      for (const engine::TokenLogprob& other : token.top) {
        entry["top_logprobs"].push_back(entry_of(other.id, other.logprob));
      }
      content.push_back(std::move(entry));
    }
    Json object;
    object["content"] = std::move(content);
    return object;
  }

  Json entry_of(std::int32_t id, float logprob) const {
    Json entry;
    entry["token"] = token_label(context_.tokenizer, id, context_.delivery);
    entry["logprob"] = finite_logprob(logprob);
    entry["bytes"] = Json::array();
    for (const char byte : context_.tokenizer.bytes(id)) {
      entry["bytes"].push_back(static_cast<unsigned char>(byte));
    }
    return entry;
  }

  const ReplyContext context_;
  const bool logprobs_;
  std::vector<std::size_t> calls_;  ///< told so far, by choice
};

}  // namespace

std::unique_ptr<ReplyFormat> make_chat_format(ReplyContext context, Logprobs logprobs) {
  return std::make_unique<ChatFormat>(std::move(context), logprobs);
}

}  // namespace nvllm::server
