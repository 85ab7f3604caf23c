#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "engine/token_stream.h"

namespace nvllm {
class LaunchListener;
}

namespace nvllm::engine {

class Runner;

/// What `serve` and `generate` may choose. Sizes of 0 mean "decide from the budget".
struct EngineOptions {
  std::string device = "auto";   ///< auto, cpu, cuda, reference
  std::string leg = "default";   ///< a named fusion plan
  std::string fusion{};          ///< a plan without a name, as parse_fusion reads it; replaces `leg`
  /// Asks for equal bits across chunking and recomputation too, whatever it costs. The CPU always gives them.
  bool deterministic = false;
  std::int64_t max_num_seqs = 0;
  std::int64_t max_model_len = 0;
  std::int64_t max_num_batched_tokens = 0;
  std::int64_t memory_budget_bytes = 0;
  std::string kv_cache_dtype = "auto";  ///< auto, bf16, fp8_e4m3 (GPU only)
  std::string state_dtype = "auto";     ///< of recurrent state: auto, float32, bfloat16 (GPU only)
  /// Of a prompt's activations in products with NVFP4: auto, bf16, nvfp4 (GPU only). auto: nvfp4 where the GPU multiplies it.
  std::string prefill_activations = "auto";
  std::int64_t thread_count = 0;  ///< CPU workers; 0: one per core
  std::int64_t inbox_limit = 0;   ///< waiting requests; 0: 4 x max_num_seqs
  std::int64_t max_prefill_chunk = 0;  ///< prompt tokens of one sequence per step; 0: no limit of its own
  std::int64_t kv_block_count = 0;     ///< overrides what the budget would give; 0: by budget
  bool priority_scheduling = false;    ///< by GenerationRequest::priority, then first come, first served
  bool prefix_caching = false;         ///< go on from what earlier sequences computed, where they begin alike
  /// For states to go on from, beside the slots of running sequences, which serve while idle; -1: an eighth of what is left, at
  /// most as many as there are sequences.
  std::int64_t prefix_state_bytes = -1;
  std::int64_t prefix_interval = 4096;  ///< prompt tokens between states kept within a prompt; 0: none
};

/// The settled sizes, known before the first request.
struct EngineLimits {
  std::int64_t max_num_seqs = 0;
  std::int64_t max_model_len = 0;
  std::int64_t max_num_batched_tokens = 0;
  std::int64_t max_prefill_chunk = 0;
  std::int64_t kv_block_tokens = 0;
  std::int64_t kv_block_count = 0;
  std::int64_t state_slot_count = 0;  ///< of running sequences and of the prefix cache together
  bool priority_scheduling = false;
  std::int64_t prefix_interval = 0;
  bool prefix_caching = false;
  std::int64_t logit_rows = 0;  ///< rows per step whose logits can be had
  std::int64_t inbox_limit = 0;
  std::int64_t vocab_size = 0;
  std::vector<std::int32_t> eos_ids;
  std::string device;  ///< "cpu (AVX2)", ...
  std::string leg;
};

/// Why a prompt was computed from its first token.
enum class PrefixMiss {
  kCold,       ///< nothing cached begins like it
  kDiverged,   ///< something does, but there is no state before they part
  kEvicted,    ///< there was one
  kShort,      ///< too few tokens to be worth it
  kScored,     ///< every token of the prompt is to be scored
};
inline constexpr std::size_t kPrefixMissCount = 5;
/// The label of metrics: "cold", "diverged", ...
std::string_view to_string(PrefixMiss miss);

/// What became of the prefix cache; counts are since start.
struct PrefixStats {
  std::int64_t hits = 0;
  std::array<std::int64_t, kPrefixMissCount> misses{};  ///< by PrefixMiss
  std::int64_t queried_tokens = 0, cached_tokens = 0;    ///< of prompts that were looked up, and of those what was there
  std::int64_t checkpoints = 0, evictions = 0;
  std::int64_t kv_blocks = 0;  ///< that no running sequence holds
};

/// A snapshot of counters and gauges; all counts are since start.
struct EngineStats {
  std::int64_t running = 0, waiting = 0;
  std::int64_t kv_blocks_used = 0, kv_blocks_total = 0;
  std::int64_t state_slots_used = 0, state_slots_total = 0;
  std::int64_t prompt_tokens = 0, generation_tokens = 0, preemptions = 0, steps = 0;
  PrefixStats prefix;
  std::array<std::int64_t, 5> finished{};  ///< by FinishReason
  double seconds_since_step = 0;  ///< age of the last completed step while work is waiting, else 0
  bool alive = true;              ///< false once a step failed for good
};

enum class SubmitOutcome { kAccepted, kQueueFull, kDraining, kDead };

struct [[nodiscard]] Submission {
  SubmitOutcome outcome = SubmitOutcome::kAccepted;
  std::shared_ptr<TokenStream> stream;  ///< set when accepted
};

/// Serves requests by continuous batching on one engine thread.
class Engine {
 public:
  /// Takes over a runner and starts the engine thread.
  explicit Engine(std::unique_ptr<Runner> runner, std::int64_t inbox_limit);
  /// Stops at the next step; unfinished requests end with kCancelled.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const EngineLimits& limits() const;
  /// Puts a request into the bounded inbox. All streams of one call to submit_all are accepted
  /// together or not at all.
  ///   Errors: Error(kUsage) if a prompt is empty, holds an id outside the vocabulary, or does not
  ///           fit: prompt + 1 token > max_model_len (prompt alone when max_tokens is 0).
  Submission submit(GenerationRequest request, TokenStream::Notify notify = {});
  /// The same for several requests (n > 1, several prompts). Streams are in the order of `requests`.
  [[nodiscard]] std::vector<Submission> submit_all(std::vector<GenerationRequest> requests,
                                                   const TokenStream::Notify& notify = {});
  /// Forgets every cached beginning of a prompt, before the next step. What runs goes on.
  void reset_prefix_cache();
  /// Refuses new work from now on; what is accepted goes on.
  void drain();
  /// Whether nothing is waiting or running.
  bool idle() const;
  EngineStats stats() const;
  /// Whom steps, kernels and named host work announce themselves to; null for nobody. Borrowed. Takes
  /// effect between two steps and returns when it has: the former listener is then no longer called.
  /// Safe from any thread but the listener's own calls.
  ///   Returns: the statistics at that moment, so that what a listener heard can be told from the rest.
  EngineStats set_launch_listener(LaunchListener* listener);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Called while weights are packed: bytes done of bytes in all.
using LoadProgress = std::function<void(std::int64_t done, std::int64_t total)>;

/// Opens a model (folder or "synthetic:NAME"), plans memory, packs weights and starts an engine.
///   Errors: Error(kOutOfBudget) with the table of who wanted what; those of Checkpoint::open.
std::unique_ptr<Engine> open_engine(const std::string& model, const EngineOptions& options,
                                    const LoadProgress& progress = {});

}  // namespace nvllm::engine
