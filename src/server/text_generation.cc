#include "server/text_generation.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/api_error.h"

namespace nvllm::server {

using engine::FinishReason;

namespace {

bool contains(const std::vector<std::int32_t>& ids, std::int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

TextOptions text_options_of(const GenerationFields& fields) {
  return {.stop = fields.stop,
          .stop_ids = fields.stop_ids,
          .min_tokens = fields.min_tokens,
          .stop_text = fields.include_stop_text ? StopText::kKept : StopText::kCutBefore,
          .skip_special = fields.skip_special_tokens};
}

Choice::Choice(const tokenizer::Tokenizer& tokenizer, TextOptions options,
               std::shared_ptr<engine::TokenStream> stream)
    : tokenizer_(tokenizer),
      options_(std::move(options)),
      stream_(std::move(stream)),
      detokenizer_(tokenizer, options_.skip_special),
      search_(options_.stop, options_.stop_text) {
  if (options_.reply) reader_.emplace(*options_.reply);
}

bool Choice::is_clients_stop(std::int32_t id) const { return contains(options_.stop_ids, id); }

std::string Choice::show(const engine::ScoredToken& token, const engine::StreamEvent& event) {
  // The id that ended the request says so; it is no part of the text unless asked for.
  const bool ends = event.finish == FinishReason::kStop && token.id == event.stop_id &&
                    &token == &event.tokens.back();
  if (ends && options_.stop_text == StopText::kCutBefore) return "";
  std::string text = detokenizer_.push(token.id);
  if (contains(options_.tag_ids, token.id)) {
    text = detokenizer_.finish() + std::string(tokenizer_.bytes(token.id));
  }
  return token_count_ <= options_.min_tokens ? search_.push_unsearched(text) : search_.push(text);
}

void Choice::add(std::string_view text, ChoiceNews& news) {
  news.text += text;
  if (!reader_) return;
  for (ReplyPart& part : reader_->push(text)) add_part(*news.parts, std::move(part));
}

void Choice::read(const engine::ScoredToken& token, const engine::StreamEvent& event,
                  ChoiceNews& news) {
  ++token_count_;
  const bool thought = reader_ && reader_->thinking();
  add(show(token, event), news);
  // A tag is no thought: before it or behind it there is none.
  if (thought && reader_->thinking()) ++reasoning_token_count_;
}

void Choice::read_end(const engine::StreamEvent& event, ChoiceNews& news) {
  if (event.finish != FinishReason::kNone && !search_.hit()) {
    // The last bytes may complete a stop string, too.
    add(search_.push(detokenizer_.finish()), news);
    add(search_.finish(), news);
  }
  if (!reader_ || (event.finish == FinishReason::kNone && !search_.hit())) return;
  const bool whole = event.finish == FinishReason::kStop && !search_.hit();
  for (ReplyPart& part : reader_->finish(whole ? ReplyEnd::kWhole : ReplyEnd::kCutOff)) {
    add_part(*news.parts, std::move(part));
  }
}

ChoiceNews Choice::take(engine::StreamEvent event) {
  ChoiceNews news;
  if (finished_) return news;
  if (reader_) news.parts.emplace();
  news.prompt = std::move(event.prompt);
  news.cached_tokens = event.cached_tokens;
  std::size_t taken = 0;
  while (taken < event.tokens.size() && !search_.hit()) read(event.tokens[taken++], event, news);
  news.finish = event.finish;
  read_end(event, news);
  if (search_.hit()) {
    if (event.finish == FinishReason::kNone) stream_->cancel();
    news.finish = FinishReason::kStop;
    news.stop_reason = *search_.hit();
  } else if (event.finish == FinishReason::kStop && is_clients_stop(event.stop_id)) {
    news.stop_reason = event.stop_id;
  }
  event.tokens.resize(taken);  // tokens behind a stop string were never asked for
  news.tokens = std::move(event.tokens);
  news.error = std::move(event.error);
  finished_ = news.finish != FinishReason::kNone;
  return news;
}

std::vector<engine::GenerationRequest> make_requests(const GenerationFields& fields,
                                                     const std::vector<std::int32_t>& prompt,
                                                     const EngineBounds& bounds,
                                                     const std::string& id) {
  if (prompt.empty()) throw bad_field("prompt", "is empty; at least one token is wanted");
  const auto prompt_count = static_cast<std::int64_t>(prompt.size());
  const std::int64_t wanted = fields.max_tokens.value_or(bounds.max_model_len);
  const auto max_tokens = engine::tokens_that_fit(prompt_count, wanted, bounds.max_model_len);
  if (!max_tokens) {
    throw ApiError({.message = fmt::format("This model's maximum context length is {} tokens, but "
                                           "the prompt has {}{}.",
                                           bounds.max_model_len, prompt_count,
                                           wanted > 0 ? " and at least 1 is to be generated" : ""),
                    .param = "prompt",
                    .code = "context_length_exceeded"});
  }
  engine::GenerationRequest request{};
  request.id = id;
  request.prompt = prompt;
  request.sampling = fields.sampling;
  request.max_tokens = *max_tokens;  // nothing is reserved: a large limit costs nothing
  request.min_tokens = std::min(fields.min_tokens, request.max_tokens);
  request.stop_ids = fields.stop_ids;
  request.thinking = fields.thinking;
  request.cache_points = fields.cache_points;
  if (!fields.ignore_eos) {
    request.stop_ids.insert(request.stop_ids.end(), bounds.eos_ids.begin(), bounds.eos_ids.end());
  }
  std::vector<engine::GenerationRequest> requests(static_cast<std::size_t>(fields.n), request);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (requests.size() > 1) requests[i].id = fmt::format("{}-{}", id, i);
    if (fields.sampling.seed) requests[i].sampling.seed = *fields.sampling.seed + i;
  }
  return requests;
}

}  // namespace nvllm::server
