#pragma once

#include <cstdint>

#include "checkpoint/model_config.h"

namespace nvllm::checkpoint {

/// Bytes of recurrent and convolution state that one sequence needs, whatever its length:
/// per Gated DeltaNet layer, F32 [value heads, key dim, value dim] and BF16 [channels, taps - 1].
std::int64_t state_bytes_per_sequence(const ModelConfig& config);

/// Bytes of keys and values that one token of one sequence needs, over all full-attention layers.
std::int64_t kv_bytes_per_token(const ModelConfig& config, std::int64_t element_bytes);

/// What is to be planned for.
struct MemoryQuestion {
  std::int64_t budget_bytes = 0;
  std::int64_t weight_bytes = 0;
  std::int64_t context_tokens = 0;
  std::int64_t kv_element_bytes = 2;
};

/// How many requests of that context fit beside the weights; the engine's own plan also counts
/// its scratch memory and is what serve prints.
std::int64_t requests_that_fit(const ModelConfig& config, const MemoryQuestion& question);

}  // namespace nvllm::checkpoint
