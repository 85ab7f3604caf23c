#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "server/fields.h"
#include "server/limits.h"

namespace nvllm::server {

/// How an answer is delivered.
struct DeliveryFields {
  bool stream = false;
  bool include_usage = false;     ///< a last chunk with the usage
  bool continuous_usage = false;  ///< the usage so far in every chunk
  bool include_reasoning = true;  ///< of chats: whether thoughts are told
  bool return_token_ids = false;
  bool tokens_as_ids = false;  ///< "token_id:7" instead of text in log-probabilities
};

/// The fields that completions and chat completions share, names and meanings as in vLLM.
struct GenerationFields {
  std::string model{};  ///< "" when the client left it out
  engine::SamplingParams sampling{};
  DeliveryFields delivery{};
  std::int64_t n = 1;
  std::optional<std::int64_t> max_tokens{};
  std::int64_t min_tokens = 0;
  std::vector<std::string> stop{};
  std::vector<std::int32_t> stop_ids{};
  bool ignore_eos = false;
  bool include_stop_text = false;
  bool skip_special_tokens = true;
  std::optional<engine::ThinkingBudget> thinking{};  ///< of chats
  std::vector<std::int64_t> cache_points{};  ///< of chats: where the next turn may part from this one
  std::int64_t priority = 0;  ///< less is sooner
  std::string cache_salt{};  ///< narrows who shares cached beginnings of prompts, beside the API key
};

/// What the numbers in a request are checked against.
struct RequestBounds {
  ServerLimits limits{};
  std::int64_t vocab_size = 0;
  bool priorities = false;  ///< whether requests may say how urgent they are
};

/// Reads the shared fields.
///   Errors: ApiError 400 naming the field, also for fields that would change what comes out and
///           are not supported. Other unknown fields are ignored, as vLLM does.
GenerationFields parse_generation_fields(const Fields& fields, const RequestBounds& bounds);

/// Refuses a field that is present and not harmless: null, false, empty lists, objects and strings
/// are taken for absent.
void refuse_field(const Fields& fields, std::string_view name);

}  // namespace nvllm::server
