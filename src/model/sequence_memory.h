#pragma once

// The arithmetic of what a sequence keeps between steps.

#include <cstdint>
#include <vector>

#include "checkpoint/model_config.h"
#include "kernels/segment.h"

namespace nvllm::model {

AttentionShape attention_shape(const checkpoint::ModelConfig& config);
DeltaShape delta_shape(const checkpoint::ModelConfig& config);
/// Indices of the layers of one kind.
std::vector<std::int64_t> layers_of_kind(const checkpoint::ModelConfig& config, checkpoint::LayerKind kind);

/// Elements, not bytes: backends differ in what an element is.
struct SequenceMemory {
  std::int64_t kv_elements_per_token = 0;        ///< keys and values over all attention layers
  std::int64_t recurrent_elements_per_slot = 0;  ///< over all DeltaNet layers
  std::int64_t conv_elements_per_slot = 0;
};
SequenceMemory sequence_memory(const checkpoint::ModelConfig& config);

/// Columns of all scratch rows together, for planning; see Scratch.
std::int64_t scratch_elements_per_token(const checkpoint::ModelConfig& config);

}  // namespace nvllm::model
