#include "checkpoint/memory_needs.h"

#include <algorithm>

namespace nvllm::checkpoint {

std::int64_t state_bytes_per_sequence(const ModelConfig& config) {
  const auto layers = std::ranges::count(config.layers, LayerKind::kGatedDelta);
  const std::int64_t recurrent =
      config.value_head_count * config.key_head_dim * config.value_head_dim * 4;
  const std::int64_t convolution = config.conv_channels() * (config.conv_taps - 1) * 2;
  return layers == 0 ? 0 : layers * (recurrent + convolution);
}

std::int64_t kv_bytes_per_token(const ModelConfig& config, std::int64_t element_bytes) {
  const auto layers = std::ranges::count(config.layers, LayerKind::kFullAttention);
  return layers * 2 * config.kv_head_count * config.head_dim * element_bytes;
}

std::int64_t requests_that_fit(const ModelConfig& config, const MemoryQuestion& question) {
  const std::int64_t each =
      state_bytes_per_sequence(config) +
      question.context_tokens * kv_bytes_per_token(config, question.kv_element_bytes);
  const std::int64_t left = question.budget_bytes - question.weight_bytes;
  return each <= 0 || left <= 0 ? 0 : left / each;
}

}  // namespace nvllm::checkpoint
