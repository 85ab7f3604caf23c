#include "model/sequence_memory.h"

#include <algorithm>

namespace nvllm::model {

AttentionShape attention_shape(const checkpoint::ModelConfig& c) {
  return {.heads = c.head_count, .kv_heads = c.kv_head_count, .head_dim = c.head_dim,
          .rotary_dims = c.rope.rotary_dims};
}

DeltaShape delta_shape(const checkpoint::ModelConfig& c) {
  return {.key_heads = c.key_head_count, .value_heads = c.value_head_count, .key_dim = c.key_head_dim,
          .value_dim = c.value_head_dim, .conv_taps = c.conv_taps};
}

std::vector<std::int64_t> layers_of_kind(const checkpoint::ModelConfig& config, checkpoint::LayerKind kind) {
  std::vector<std::int64_t> found;
  for (std::int64_t i = 0; i < config.layer_count(); ++i) {
    if (config.layers[static_cast<std::size_t>(i)] == kind) found.push_back(i);
  }
  return found;
}

SequenceMemory sequence_memory(const checkpoint::ModelConfig& config) {
  const auto count = [&](checkpoint::LayerKind kind) {
    return static_cast<std::int64_t>(std::count(config.layers.begin(), config.layers.end(), kind));
  };
  const std::int64_t attention = count(checkpoint::LayerKind::kFullAttention);
  const std::int64_t delta = count(checkpoint::LayerKind::kGatedDelta);
  SequenceMemory memory;
  memory.kv_elements_per_token = attention * 2 * config.kv_head_count * config.head_dim;
  if (delta > 0) {
    memory.recurrent_elements_per_slot = delta * delta_shape(config).recurrent_elements();
    memory.conv_elements_per_slot = delta * delta_shape(config).conv_elements();
  }
  return memory;
}

std::int64_t scratch_elements_per_token(const checkpoint::ModelConfig& c) {
  const std::int64_t attention = c.head_count * c.head_dim, kv = c.kv_head_count * c.head_dim;
  const std::int64_t value = c.value_head_count * c.value_head_dim;
  return 3 * c.hidden_size + 5 * attention + 2 * kv + 2 * c.conv_channels() + 2 * value +
         2 * c.value_head_count + 3 * c.intermediate_size;
}

}  // namespace nvllm::model
