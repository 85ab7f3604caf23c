// The objects of /v1/chat/completions: "chat.completion", in chunks or whole.
#include "server/reply_format.h"

namespace nvllm::server {
namespace {

using engine::ScoredToken;

class ChatFormat final : public ReplyFormat {
 public:
  ChatFormat(ReplyContext context, Logprobs logprobs)
      : context_(std::move(context)), logprobs_(logprobs == Logprobs::kReported) {}

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

  Json chunk(std::size_t index, const ChoiceNews& news) override {
    const Json finish = finish_of(news);
    const bool speaks = !news.text.empty() || finish != nullptr ||
                        ((logprobs_ || wants_ids()) && !news.tokens.empty());
    if (!speaks) return nullptr;
    Json choice;
    choice["index"] = index;
    choice["delta"] = Json::object();
    if (!news.text.empty() || finish == nullptr) choice["delta"]["content"] = news.text;
    choice["logprobs"] = logprobs_of(news);
    choice["finish_reason"] = finish;
    if (finish != nullptr) choice["stop_reason"] = news.stop_reason;
    if (wants_ids()) choice["token_ids"] = ids_of(news.tokens);
    Json object = empty_chunk();
    object["choices"].push_back(std::move(choice));
    return object;
  }

  Json empty_chunk() override { return head("chat.completion.chunk"); }

  Json whole(const std::vector<ChoiceNews>& choices) override {
    Json object = head("chat.completion");
    for (std::size_t i = 0; i < choices.size(); ++i) {
      Json choice;
      choice["index"] = i;
      choice["message"]["role"] = "assistant";
      choice["message"]["content"] = choices[i].text;
      choice["logprobs"] = logprobs_of(choices[i]);
      choice["finish_reason"] = finish_of(choices[i]);
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
};

}  // namespace

std::unique_ptr<ReplyFormat> make_chat_format(ReplyContext context, Logprobs logprobs) {
  return std::make_unique<ChatFormat>(std::move(context), logprobs);
}

}  // namespace nvllm::server
