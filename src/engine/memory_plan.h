#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/model_config.h"
#include "engine/engine.h"

namespace nvllm::engine {

/// What a backend says of itself, for planning.
struct BackendSizes {
  std::int64_t weight_bytes = 0;  ///< all prepared matrices and vectors, each once, as the backend keeps them
  std::int64_t real_bytes = 2;    ///< one activation element
  std::int64_t kv_bytes = 2;      ///< one KV element
  std::int64_t state_bytes = 4;   ///< one recurrent-state element
  std::int64_t angle_bytes = 4;   ///< one cosine or sine
  std::int64_t workspace_bytes_per_token = 0;     ///< beside activations, for each token of a step
  std::int64_t workspace_bytes_per_position = 0;  ///< for each position of the longest sequence
  std::int64_t workspace_bytes = 0;               ///< whatever the sizes
  std::int64_t conv_rows_more = 0;                ///< of a slot's convolution state, beyond taps - 1
  std::int64_t available_bytes = 0;               ///< what a plan without a budget may share out; 0: 60 % of the host's
  std::int64_t free_bytes = 0;                    ///< of the device: no plan may take more; 0: the host's, which can swap
  std::int64_t step_tokens = 0;                   ///< tokens of a step unless asked for; 0: 256
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
  std::int64_t budget_bytes = 0;
  std::int64_t state_bytes_per_sequence = 0;  ///< recurrent and convolution state, whatever the length
  std::int64_t kv_bytes_per_token = 0;        ///< keys and values over all full-attention layers

  /// How many sequences of that many tokens can be in memory together.
  std::int64_t requests_at(std::int64_t context) const;
  /// Contexts worth showing: the longest, then quarters of it.
  std::vector<std::int64_t> shown_contexts() const;
  /// The table, then "N requests at context C" for each of them; one string a line.
  std::vector<std::string> describe() const;
};

/// Divides `options.memory_budget_bytes` (0: enough for every sequence at full length, or 60 % of the
/// machine's available memory, whichever is less) among weights, activations, slots and blocks.
///   Errors: Error(kOutOfBudget) with the table, the budget and what to change.
MemoryPlan plan_memory(const checkpoint::ModelConfig& config, const BackendSizes& backend,
                       const EngineOptions& options);

/// What open_engine would plan for this model and these options, without reading a weight.
///   Errors: those of open_engine, but for damaged weights.
MemoryPlan plan_engine(const std::string& model, const EngineOptions& options);

}  // namespace nvllm::engine
