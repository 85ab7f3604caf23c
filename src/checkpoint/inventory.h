#pragma once

// Every tensor of a checkpoint is consumed, skipped by a rule, or named as a problem.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/model_config.h"
#include "checkpoint/module_layout.h"
#include "checkpoint/tensor_files.h"
#include "checkpoint/weight_names.h"

namespace nvllm::checkpoint {

/// What the tensors of a folder are to a model. Borrows from the TensorFiles it was taken of.
struct Inventory {
  std::map<std::string, ModuleLayout, std::less<>> modules;
  std::map<std::string, const StoredTensor*, std::less<>> vectors;
  /// Small tensors that are consumed but not part of the forward: scales of a KV cache.
  std::map<std::string, const StoredTensor*, std::less<>> extras;
  std::vector<const StoredTensor*> skipped;  ///< vision towers, rotary buffers of old files
  std::vector<std::string> problems;         ///< sentences, each naming a tensor
};

/// Lets the tensors decide what the config leaves open: the prefix of the text stack, whether the
/// head is tied, whether the multi-token-prediction head is there.
///   Errors: Error(kBadFile) if the head is missing and config.json does not say that it is tied.
ModelConfig settle_config(ModelConfig config, const Json& json, const TensorFiles& files);

/// Sorts all tensors of `files` by the settled `config`.
Inventory take_inventory(const ModelConfig& config, const TensorFiles& files);

}  // namespace nvllm::checkpoint
