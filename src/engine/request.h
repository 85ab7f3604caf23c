#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nvllm::engine {

/// How the next token is drawn from the logits. Field names and meanings follow vLLM.
struct SamplingParams {
  double temperature = 1.0;  ///< 0 is greedy: the lowest id among the largest logits
  double top_p = 1.0;
  std::int64_t top_k = 0;    ///< 0: all
  double min_p = 0.0;
  std::optional<std::uint64_t> seed;  ///< absent: drawn at submission
  double presence_penalty = 0.0;
  double frequency_penalty = 0.0;
  double repetition_penalty = 1.0;
  std::vector<std::pair<std::int32_t, float>> logit_bias;
  /// Alternatives to report per generated token; -1: no log-probabilities at all.
  std::int64_t top_logprobs = -1;
  /// The same for the tokens of the prompt (the first has none).
  std::int64_t prompt_logprobs = -1;
};

/// How many of `wanted` tokens can follow a prompt in a context of that many; nothing if the prompt does not
/// fit, or leaves no room although tokens are wanted.
std::optional<std::int64_t> tokens_that_fit(std::int64_t prompt, std::int64_t wanted, std::int64_t context);

/// Bounds what is generated between two ids, as thoughts are: once `tokens_max` tokens have come behind
/// the first id without the second one among them, the next token is the second one, whatever the logits.
struct ThinkingBudget {
  /// Opens it, as one of the first kThinkingOpensWithin tokens; -1: the prompt has opened it.
  std::int32_t begin_id = -1;
  std::int32_t end_id = -1;  ///< closes it
  std::int64_t tokens_max = 0;
};

/// Where thinking may begin: text about thoughts, further on, spends no budget.
inline constexpr std::int64_t kThinkingOpensWithin = 4;

/// What the engine is asked to do, in token ids. Words stay outside.
struct GenerationRequest {
  std::string id;  ///< for logs
  std::vector<std::int32_t> prompt;
  SamplingParams sampling;
  std::int64_t max_tokens = 16;  ///< 0 is allowed: score the prompt only
  std::int64_t min_tokens = 0;   ///< stop ids are impossible before
  std::int64_t priority = 0;  ///< less is sooner
  std::string cache_salt;  ///< only prompts of equal salt share what is cached of them
  /// Where the state is worth keeping beside the ends of prompt and output: tokens of the prompt before each; ascending.
  std::vector<std::int64_t> cache_points;
  std::vector<std::int32_t> stop_ids;  ///< ends the request; includes the eos ids unless ignored
  std::optional<ThinkingBudget> thinking{};
};

enum class FinishReason { kNone, kStop, kLength, kCancelled, kError };

/// "stop", "length", "abort", "error"; "" for kNone. The values of vLLM's metrics label.
std::string_view to_string(FinishReason reason);

struct TokenLogprob {
  std::int32_t id = 0;
  float logprob = 0;  ///< of the raw softmax, before temperature and penalties, as vLLM reports it
};

/// One token with what was asked to be known about it.
struct ScoredToken {
  std::int32_t id = 0;
  std::optional<float> logprob;    ///< absent unless asked for (and for the first prompt token)
  std::vector<TokenLogprob> top;   ///< most likely first
};

/// News of one request since the last look.
struct StreamEvent {
  std::vector<ScoredToken> prompt;  ///< once, before the first token, if prompt_logprobs >= 0
  std::vector<ScoredToken> tokens;
  std::int64_t cached_tokens = 0;  ///< of the prompt, that were not computed again; told once, with the first token
  FinishReason finish = FinishReason::kNone;
  std::int32_t stop_id = -1;  ///< the id that ended it, if one did; it is also in `tokens`
  std::string error;          ///< with kError

  bool empty() const { return prompt.empty() && tokens.empty() && finish == FinishReason::kNone; }
};

/// The id that the budget makes the next token, or -1. The output alone decides, so it is the same after a sequence was
/// computed anew.
///   Cost:   constant, but for the one token at which the budget is spent: linear in it.
std::int32_t forced_token(const ThinkingBudget& budget, std::span<const std::int32_t> output);

}  // namespace nvllm::engine
