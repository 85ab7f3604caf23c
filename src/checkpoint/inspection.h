#pragma once

// Looks at a checkpoint that may be broken, and goes on after each fault.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/model_config.h"

namespace nvllm::checkpoint {

/// Tensors of one kind in one format.
struct TensorTotal {
  std::string kind;    ///< "layer matrices", "embedding", "draft-token head", ...
  std::string format;  ///< "NVFP4 (ModelOpt)", "BF16", ...
  std::int64_t count = 0;
  std::int64_t bytes = 0;
};

/// What a folder holds.
struct Inspection {
  std::optional<ModelConfig> config;  ///< absent if config.json could not be read
  std::int64_t file_count = 0;
  std::int64_t tensor_count = 0;
  std::int64_t tensor_bytes = 0;
  std::int64_t weight_bytes = 0;  ///< what the forward uses; draft-token head excluded
  std::vector<TensorTotal> totals;
  std::vector<std::string> problems;  ///< every fault found; empty if the checkpoint can be served
};

/// Reads all headers and all scales of a folder.
///   Errors: none for faults of the checkpoint, which are listed; Error(kNotFound) if there is no
///           such folder.
Inspection inspect(const std::filesystem::path& folder);

}  // namespace nvllm::checkpoint
