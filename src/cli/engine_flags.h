#pragma once

// Flags that decide how a model is opened, declared once for every command that opens or plans one.

#include <string>

#include "engine/engine.h"

namespace CLI {
class App;
}

namespace nvllm::cli {

/// The flags as given. Texts become numbers in engine_options.
struct EngineFlags {
  engine::EngineOptions options;
  std::string memory_budget;
  std::string prefix_memory;
  std::string scheduling_policy = "fcfs";
};

/// Declares --device, --max-model-len, --memory-budget, number formats and --threads.
void add_memory_flags(CLI::App& app, EngineFlags& flags);
/// Declares --max-num-seqs, --max-num-batched-tokens, --long-prefill-token-threshold and --scheduling-policy.
void add_batch_flags(CLI::App& app, EngineFlags& flags);
/// Declares --enable-prefix-caching, which is then on unless refused, --prefix-cache-memory and --prefix-cache-interval.
void add_prefix_flags(CLI::App& app, EngineFlags& flags);
/// Declares --leg, --fusion and --deterministic.
void add_fusion_flags(CLI::App& app, EngineFlags& flags);

/// What the flags ask for.
///   Errors: Error(kUsage) naming the flag.
engine::EngineOptions engine_options(const EngineFlags& flags);

}  // namespace nvllm::cli
