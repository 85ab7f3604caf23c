// The objects of /v1/completions: "text_completion", in chunks or whole.
#include <fmt/format.h>

#include <algorithm>

#include "server/reply_format.h"

namespace nvllm::server {
namespace {

using engine::ScoredToken;

std::int64_t characters_of(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

class CompletionFormat final : public ReplyFormat {
 public:
  CompletionFormat(ReplyContext context, CompletionOptions options)
      : context_(std::move(context)),
        options_(options),
        progress_(context_.prompts.size() * static_cast<std::size_t>(context_.n)) {}

  std::vector<Json> opening_chunks() override { return {}; }

  std::vector<Json> chunks(std::size_t choice, const ChoiceNews& news) override {
    const bool opens = !progress_[choice].opened && (options_.echo || wants_ids());
    const bool speaks = opens || !news.text.empty() || finish_of(news) != nullptr ||
                        ((options_.logprobs || wants_ids()) && !news.tokens.empty());
    if (!speaks) return {};
    Json object = empty_chunk();
    object["choices"].push_back(choice_object(choice, news));
    std::vector<Json> chunks;
    chunks.push_back(std::move(object));
    return chunks;
  }

  Json empty_chunk() override {
    Json object;
    object["id"] = context_.header.id;
    object["object"] = "text_completion";
    object["created"] = context_.header.created;
    object["model"] = context_.header.model;
    object["choices"] = Json::array();
    return object;
  }

  Json whole(const std::vector<ChoiceNews>& choices) override {
    Json object = empty_chunk();
    for (std::size_t i = 0; i < choices.size(); ++i) {
      object["choices"].push_back(choice_object(i, choices[i]));
    }
    return object;
  }

 private:
  /// What of a choice has been said before.
  struct Progress {
    bool opened = false;
    std::int64_t text_offset = 0;
  };

  bool wants_ids() const { return context_.delivery.return_token_ids; }

  Json choice_object(std::size_t index, const ChoiceNews& news) {
    Progress& progress = progress_[index];
    const PromptInput& prompt = context_.prompt_of(index);
    const bool opens = !std::exchange(progress.opened, true);
    Json choice;
    choice["index"] = index;
    choice["text"] = opens && options_.echo ? prompt.text + news.text : news.text;
    choice["logprobs"] = nullptr;
    if (options_.logprobs) {
      choice["logprobs"] = logprobs_object(news.prompt, news.tokens, progress);
    }
    choice["finish_reason"] = finish_of(news);
    choice["stop_reason"] = news.stop_reason;
    if (wants_ids()) {
      choice["token_ids"] = ids_of(news.tokens);
      if (opens) choice["prompt_token_ids"] = prompt.ids;
    }
    return choice;
  }

  Json logprobs_object(const std::vector<ScoredToken>& prompt,
                       const std::vector<ScoredToken>& generated, Progress& progress) const {
    Json object;
    for (const char* name : {"text_offset", "token_logprobs", "tokens", "top_logprobs"}) {
      object[name] = Json::array();
    }
    for (const auto* tokens : {&prompt, &generated}) {
      for (const ScoredToken& token : *tokens) {
        const std::string label = label_of(token.id);
        object["text_offset"].push_back(progress.text_offset);
        object["tokens"].push_back(label);
        progress.text_offset += characters_of(label);
        // The first token of a prompt follows nothing: there is no probability to report.
        object["token_logprobs"].push_back(token.logprob ? Json(finite_logprob(*token.logprob))
                                                         : Json(nullptr));
        object["top_logprobs"].push_back(token.logprob ? alternatives_of(token) : Json(nullptr));
      }
    }
    return object;
  }

  std::string label_of(std::int32_t id) const {
    return token_label(context_.tokenizer, id, context_.delivery);
  }

  /// The chosen token and the likeliest ones. Two ids may read the same (pieces of characters): the
  /// likelier one is kept.
  Json alternatives_of(const ScoredToken& token) const {
    Json object;
    object[label_of(token.id)] = finite_logprob(*token.logprob);
    for (const engine::TokenLogprob& entry : token.top) {
      const std::string label = label_of(entry.id);
      if (!object.contains(label)) object[label] = finite_logprob(entry.logprob);
    }
    return object;
  }

  const ReplyContext context_;
  const CompletionOptions options_;
  std::vector<Progress> progress_;
};

}  // namespace

std::unique_ptr<ReplyFormat> make_completion_format(ReplyContext context,
                                                    CompletionOptions options) {
  return std::make_unique<CompletionFormat>(std::move(context), options);
}

std::string token_label(const tokenizer::Tokenizer& tokenizer, std::int32_t id,
                        const DeliveryFields& delivery) {
  return delivery.tokens_as_ids ? fmt::format("token_id:{}", id) : tokenizer.decode({id}, false);
}

double finite_logprob(float logprob) {
  return logprob > -9999.0f ? static_cast<double>(logprob) : -9999.0;  // also for NaN
}

Json ids_of(const std::vector<ScoredToken>& tokens) {
  Json ids = Json::array();
  for (const ScoredToken& token : tokens) ids.push_back(token.id);
  return ids;
}

Json finish_of(const ChoiceNews& news) {
  const auto reason = engine::to_string(news.finish);
  return reason.empty() ? Json(nullptr) : Json(reason);
}

}  // namespace nvllm::server
