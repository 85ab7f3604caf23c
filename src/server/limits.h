#pragma once

#include <chrono>
#include <cstdint>

#include "base/json.h"

namespace nvllm::server {

/// What one call may ask for. Every count here bounds memory or time that a stranger could choose.
struct ServerLimits {
  /// Token-id prompts make many small nodes: room for eight prompts of 128 Ki ids.
  JsonLimits json{.depth_max = 64, .nodes_max = 1'100'000};
  std::int64_t n_max = 8;
  std::int64_t prompt_count_max = 16;
  std::int64_t stop_count_max = 4;
  std::int64_t stop_bytes_max = 256;
  std::int64_t stop_id_count_max = 128;
  std::int64_t logit_bias_count_max = 300;
  std::int64_t top_logprobs_max = 20;
  std::int64_t message_count_max = 4096;
  std::int64_t tool_count_max = 128;
  /// Of all tools of a call together, as JSON: they are part of the prompt.
  std::int64_t tools_bytes_max = 1 << 20;
  /// Of all earlier calls' arguments in the messages together.
  std::int64_t call_arguments_bytes_max = 8 << 20;
  std::int64_t cache_salt_bytes_max = 256;
  /// The product over a call: scored positions times reported entries, 8 bytes each in the engine.
  std::int64_t logprob_entries_max = 4'000'000;
  /// The engine counts as hung when a step takes longer than this while work is waiting.
  std::chrono::seconds step_time_max{600};
};

}  // namespace nvllm::server
