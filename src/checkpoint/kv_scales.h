#pragma once

// What a checkpoint says of keys and values that are kept in one byte each.

#include <array>
#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/weight_names.h"

namespace nvllm::checkpoint {

/// An element of the cache times its scale is the number; one scale for a layer's keys, one for its values.
struct KvScales {
  float key = 1, value = 1;
};

/// Names under which a layer's scales may be stored: those of ModelOpt, then those of compressed-tensors.
struct KvScaleNames {
  std::array<std::string, 2> key, value;
};
[[nodiscard]] KvScaleNames kv_scale_names(const LayerNames& layer);

/// The scales of a full-attention layer; 1 where the checkpoint has none.
///   Errors: Error(kBadFile), with the tensor, for a scale that is not a positive number.
[[nodiscard]] KvScales kv_scales(const Checkpoint& files, const LayerNames& layer);

}  // namespace nvllm::checkpoint
