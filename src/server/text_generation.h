#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/request.h"
#include "engine/token_stream.h"
#include "server/generation_fields.h"
#include "server/parsers/reply_reader.h"
#include "server/stop_search.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer.h"

namespace nvllm::server {

/// How the tokens of one choice become text.
struct TextOptions {
  std::vector<std::string> stop{};
  std::vector<std::int32_t> stop_ids{};  ///< the client's own; others end silently (eos)
  std::int64_t min_tokens = 0;           ///< stop strings are not searched in the first ones
  StopText stop_text = StopText::kCutBefore;
  bool skip_special = true;
  /// How to tell thoughts, content and calls apart; nothing: all is text.
  std::optional<ReplySyntax> reply{};
  /// Special tokens that are the reply's tags, and shown to its reader whatever `skip_special`
  /// says.
  std::vector<std::int32_t> tag_ids{};
};

TextOptions text_options_of(const GenerationFields& fields);

/// What became known of a choice since the last look.
struct ChoiceNews {
  std::vector<engine::ScoredToken> prompt{};
  std::vector<engine::ScoredToken> tokens{};
  std::int64_t cached_tokens = 0;  ///< of the prompt, that were not computed again; once
  std::string text{};  ///< whole characters, free of stop strings
  /// What of the text became certain to be which part of the reply, where parts are told apart.
  std::optional<std::vector<ReplyPart>> parts{};
  engine::FinishReason finish = engine::FinishReason::kNone;
  Json stop_reason{};  ///< the stop string or the client's stop id; null otherwise
  std::string error{};

  bool empty() const {
    return prompt.empty() && tokens.empty() && text.empty() &&
           finish == engine::FinishReason::kNone;
  }
};

/// One answer in the making: reads a token stream, detokenises without splitting characters, cuts
/// at stop strings, tells thoughts and calls from the rest. Stop strings are looked for in all of
/// the text, as in vLLM. Used by the endpoints and by the command line.
class Choice {
 public:
  /// Borrows the tokenizer.
  Choice(const tokenizer::Tokenizer& tokenizer, TextOptions options,
         std::shared_ptr<engine::TokenStream> stream);

  /// What is new; empty if nothing is. A finish reason comes exactly once.
  ChoiceNews poll() { return take(stream_->poll()); }
  /// As poll, but sleeps until there is something.
  ChoiceNews wait() { return take(stream_->wait()); }
  void cancel() { stream_->cancel(); }
  bool finished() const { return finished_; }
  std::int64_t token_count() const { return token_count_; }
  /// Tokens between the tags of thoughts.
  std::int64_t reasoning_token_count() const { return reasoning_token_count_; }

 private:
  ChoiceNews take(engine::StreamEvent event);
  std::string show(const engine::ScoredToken& token, const engine::StreamEvent& event);
  void read(const engine::ScoredToken& token, const engine::StreamEvent& event, ChoiceNews& news);
  void read_end(const engine::StreamEvent& event, ChoiceNews& news);
  void add(std::string_view text, ChoiceNews& news);
  bool is_clients_stop(std::int32_t id) const;

  const tokenizer::Tokenizer& tokenizer_;
  TextOptions options_;
  std::shared_ptr<engine::TokenStream> stream_;
  tokenizer::Detokenizer detokenizer_;
  StopSearch search_;
  std::optional<ReplyReader> reader_;
  std::int64_t token_count_ = 0, reasoning_token_count_ = 0;
  bool finished_ = false;
};

/// What the engine is asked for one prompt: the client's fields, the end-of-sequence ids, and a
/// token limit that fits the context.
struct EngineBounds {
  std::int64_t max_model_len = 0;
  std::vector<std::int32_t> eos_ids{};
};

/// One request per sample of one prompt. With n > 1 and a seed, sample i uses seed + i, so that the
/// samples differ and each can be had again alone.
///   Errors: ApiError 400 with both numbers if the prompt does not fit the context, or is empty.
std::vector<engine::GenerationRequest> make_requests(const GenerationFields& fields,
                                                     const std::vector<std::int32_t>& prompt,
                                                     const EngineBounds& bounds,
                                                     const std::string& id);

}  // namespace nvllm::server
