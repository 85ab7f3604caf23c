#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/model_config.h"
#include "engine/engine.h"

namespace nvllm::engine {

/// What a backend says of itself, for planning.
struct BackendSizes {
  std::int64_t weight_bytes = 0;       ///< all prepared matrices and vectors
  std::int64_t real_bytes = 2;         ///< one activation element
  std::int64_t kv_bytes = 2;           ///< one KV element
  std::int64_t state_bytes = 4;        ///< one recurrent-state element
  std::int64_t workspace_bytes = 0;    ///< fixed room beyond activations
  std::int64_t workspace_bytes_per_token = 0;
};

/// One line of the table "who wanted what".
struct MemoryLine {
  std::string what;
  std::int64_t bytes = 0;
};

/// All sizes, settled before the first request.
struct MemoryPlan {
  EngineLimits limits;
  std::vector<MemoryLine> lines;
  std::int64_t total_bytes = 0;

  /// The table, then "N requests at context C" for a few contexts.
  std::string describe(const checkpoint::ModelConfig& config) const;
};

/// Divides `options.memory_budget_bytes` (0: enough for every sequence at full length, or 60 % of the
/// machine's available memory, whichever is less) among weights, activations, slots and blocks.
///   Errors: Error(kOutOfBudget) with the table, the budget and what to change.
MemoryPlan plan_memory(const checkpoint::ModelConfig& config, const BackendSizes& backend,
                       const EngineOptions& options);

}  // namespace nvllm::engine
