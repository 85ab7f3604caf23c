#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/generation_fields.h"
#include "server/text_generation.h"

namespace nvllm::server {

/// What every object of one answer repeats.
struct ReplyHeader {
  std::string id{};
  std::string model{};
  std::int64_t created = 0;  ///< seconds since 1970
};

/// One prompt of a call.
struct PromptInput {
  std::vector<std::int32_t> ids{};
  std::string text{};  ///< as `echo` shows it
};

/// What a format needs to know of its call.
struct ReplyContext {
  const tokenizer::Tokenizer& tokenizer;
  ReplyHeader header{};
  DeliveryFields delivery{};
  std::int64_t n = 1;
  std::vector<PromptInput> prompts{};

  const PromptInput& prompt_of(std::size_t choice) const {
    return prompts[choice / static_cast<std::size_t>(n)];
  }
};

/// Writes the JSON of one answer. The two completion endpoints differ in nothing else.
class ReplyFormat {
 public:
  virtual ~ReplyFormat() = default;
  /// The chunks that open a stream, before any token.
  virtual std::vector<Json> opening_chunks() = 0;
  /// The chunks for news of a choice; none if there is nothing worth one.
  virtual std::vector<Json> chunks(std::size_t choice, const ChoiceNews& news) = 0;
  /// A chunk without choices, for the usage at the end.
  virtual Json empty_chunk() = 0;
  /// The whole answer, without usage.
  virtual Json whole(const std::vector<ChoiceNews>& choices) = 0;
};

struct CompletionOptions {
  bool echo = false;
  bool logprobs = false;
};

std::unique_ptr<ReplyFormat> make_completion_format(ReplyContext context,
                                                    CompletionOptions options);

/// Whether log-probabilities are reported.
enum class Logprobs { kNone, kReported };

std::unique_ptr<ReplyFormat> make_chat_format(ReplyContext context, Logprobs logprobs);

/// A token as log-probabilities show it: its text, or "token_id:7".
std::string token_label(const tokenizer::Tokenizer& tokenizer, std::int32_t id,
                        const DeliveryFields& delivery);
/// A log-probability JSON can hold: never below -9999, as vLLM has it.
double finite_logprob(float logprob);
/// The ids of tokens, as a JSON list.
Json ids_of(const std::vector<engine::ScoredToken>& tokens);
/// "stop", "length"; null while unfinished.
Json finish_of(const ChoiceNews& news);

}  // namespace nvllm::server
