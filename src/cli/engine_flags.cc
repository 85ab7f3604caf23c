#include "cli/engine_flags.h"

#include <CLI/CLI.hpp>

#include "base/units.h"
#include "engine/runner_cpu.h"
#include "kernels/fusion_plan.h"

namespace nvllm::cli {

void add_memory_flags(CLI::App& app, EngineFlags& flags) {
  engine::EngineOptions& options = flags.options;
  app.add_option("--device", options.device, "auto, cpu, cuda or reference")->capture_default_str();
  app.add_option("--max-model-len", options.max_model_len,
                 "Tokens of prompt and answer; 0: as the model allows, up to 8192")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--memory-budget", flags.memory_budget,
                 "All memory, such as 6GiB; without it 60 % of what is available (on a GPU 90 % of its free memory)");
  app.add_option("--kv-cache-dtype", options.kv_cache_dtype, "Number format of keys and values: auto, bf16, or on a GPU fp8_e4m3")
      ->capture_default_str();
  app.add_option("--mamba-ssm-cache-dtype", options.state_dtype,
                 "Number format of recurrent state: auto, float32, or on a GPU bfloat16")
      ->capture_default_str();
  app.add_option("--prefill-activations", options.prefill_activations,
                 "Number format of a prompt's activations in products with NVFP4: auto, bf16, or on a GPU nvfp4; auto is nvfp4 "
                 "where the GPU multiplies it by itself (compute capability 12.1)")
      ->capture_default_str();
  app.add_option("--threads", options.thread_count, "CPU workers; 0: one per core")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void add_batch_flags(CLI::App& app, EngineFlags& flags) {
  app.add_option("--max-num-seqs", flags.options.max_num_seqs, "Sequences in one batch")->check(CLI::NonNegativeNumber);
  app.add_option("--max-num-batched-tokens", flags.options.max_num_batched_tokens, "Tokens in one step")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--long-prefill-token-threshold", flags.options.max_prefill_chunk,
                 "Prompt tokens of one sequence in one step; 0: as many as fit")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--scheduling-policy", flags.scheduling_policy,
                 "Who is served first: fcfs, or priority, which lets requests say it (less is sooner)")
      ->check(CLI::IsMember({"fcfs", "priority"}))
      ->capture_default_str();
}

void add_prefix_flags(CLI::App& app, EngineFlags& flags) {
  flags.options.prefix_caching = true;
  app.add_flag("--enable-prefix-caching,!--no-enable-prefix-caching", flags.options.prefix_caching,
               "Prompts go on from what earlier ones with the same beginning computed; on unless refused");
  app.add_option("--prefix-cache-memory", flags.prefix_memory,
                 "Memory for recurrent states to go on from, such as 2GiB, beside idle slots of sequences; without it an eighth of "
                 "what is left, for at most as many as there are sequences. Keys and values stay in blocks that nobody needs");
  app.add_option("--prefix-cache-interval", flags.options.prefix_interval,
                 "Tokens between states kept within a prompt, beside those at the ends of prompts and answers; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void add_fusion_flags(CLI::App& app, EngineFlags& flags) {
  std::string legs;
  for (const std::string& name : leg_names()) legs += (legs.empty() ? "" : ", ") + name;
  CLI::Option* leg = app.add_option("--leg", flags.options.leg, "Named fusion plan: " + legs)->capture_default_str();
  app.add_option("--fusion", flags.options.fusion,
                 "A fusion plan without a name: beta=none|all|A-B, decode=on|off, inputs=on|off, delta=on|off, "
                 "attention-mlp and other-mlp=spelled-out|two-kernels|phase-d, joined by commas; what is left out is "
                 "spelled out")
      ->excludes(leg);
  app.add_flag("--deterministic", flags.options.deterministic,
               "Same bits in any batch, chunking and recomputation; the CPU always gives them, a GPU is slower then");
}

engine::EngineOptions engine_options(const EngineFlags& flags) {
  engine::EngineOptions options = flags.options;
  if (!flags.memory_budget.empty()) {
    options.memory_budget_bytes = parse_bytes(flags.memory_budget, "--memory-budget");
  }
  options.priority_scheduling = flags.scheduling_policy == "priority";
  if (!flags.prefix_memory.empty()) {
    options.prefix_state_bytes = parse_bytes(flags.prefix_memory, "--prefix-cache-memory");
  }
  static_cast<void>(engine::fusion_of(options));
  return options;
}

}  // namespace nvllm::cli
