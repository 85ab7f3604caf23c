#include "engine/memory_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/units.h"
#include "engine/sampling.h"
#include "model/sequence_memory.h"

namespace nvllm::engine {

namespace {

constexpr std::int64_t kBlockTokens = 16;
constexpr std::int64_t kDefaultSequences = 64;
constexpr std::int64_t kDefaultModelLen = 8192;   // more only when asked for: memory is planned for it
constexpr std::int64_t kDefaultStepTokens = 256;
constexpr std::int64_t kStatesOfNoBytes = 1024;   // of models without recurrent state: their number costs bookkeeping only
constexpr std::int64_t kLogitRowsMin = 33;        // prompt scoring goes ahead 32 rows at a time

std::int64_t available_memory_bytes() {
  std::ifstream info("/proc/meminfo");
  std::string name, unit;
  std::int64_t kib = 0;
  while (info >> name >> kib) {
    std::getline(info, unit);
    if (name == "MemAvailable:") return kib * 1024;
  }
  return static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
}

void check_flag(std::string_view flag, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value != 0 && (value < low || value > high)) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: {} is outside {} to {}", flag, value, low, high));
  }
}

EngineLimits wanted_limits(const checkpoint::ModelConfig& config, const BackendSizes& backend, const EngineOptions& options) {
  check_flag("--max-num-seqs", options.max_num_seqs, 1, 4096);
  check_flag("--max-model-len", options.max_model_len, 1, config.max_positions);
  check_flag("--long-prefill-token-threshold", options.max_prefill_chunk, 1, 65536);
  check_flag("--max-num-batched-tokens", options.max_num_batched_tokens, 1, 65536);
  EngineLimits limits;
  limits.max_num_seqs = options.max_num_seqs > 0 ? options.max_num_seqs : kDefaultSequences;
  limits.max_model_len = options.max_model_len > 0 ? options.max_model_len
                                                   : std::min(config.max_positions, kDefaultModelLen);
  limits.max_num_batched_tokens = options.max_num_batched_tokens > 0
                                      ? options.max_num_batched_tokens
                                      : std::max(backend.step_tokens > 0 ? backend.step_tokens : kDefaultStepTokens, limits.max_num_seqs);
  if (limits.max_num_batched_tokens < limits.max_num_seqs) {
    if (options.max_num_seqs > 0) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--max-num-batched-tokens {} is less than --max-num-seqs {}: every running "
                              "sequence needs one token of a step",
                              limits.max_num_batched_tokens, limits.max_num_seqs));
    }
    limits.max_num_seqs = limits.max_num_batched_tokens;
  }
  limits.max_prefill_chunk = options.max_prefill_chunk;
  limits.kv_block_tokens = kBlockTokens;
  limits.vocab_size = config.vocab_size;
  limits.eos_ids = config.eos_ids;
  limits.leg = options.fusion.empty() ? options.leg : options.fusion;
  limits.inbox_limit = options.inbox_limit;
  limits.priority_scheduling = options.priority_scheduling;
  limits.prefix_caching = options.prefix_caching;
  limits.prefix_interval = options.prefix_interval;
  return limits;
}

std::string row(std::string_view what, std::int64_t bytes) {
  return fmt::format("  {:<44} {:>12}", what, format_bytes(bytes));
}

std::vector<std::string> table(const std::vector<MemoryLine>& lines, std::int64_t total_bytes) {
  std::vector<std::string> rows;
  for (const MemoryLine& line : lines) rows.push_back(row(line.what, line.bytes));
  rows.push_back(row("total", total_bytes));
  return rows;
}

/// Everything but KV blocks, which take what is left.
std::vector<MemoryLine> fixed_lines(const checkpoint::ModelConfig& config, const BackendSizes& b,
                                    std::int64_t slot_bytes, EngineLimits& limits) {
  limits.logit_rows = std::max(limits.max_num_seqs, kLogitRowsMin);
  limits.state_slot_count = limits.max_num_seqs;
  const std::int64_t per_token = model::scratch_elements_per_token(config) * b.real_bytes +
                                 config.rope.rotary_dims * b.angle_bytes + b.workspace_bytes_per_token;
  return {{"weights", b.weight_bytes},
          {fmt::format("activations of {} tokens a step", limits.max_num_batched_tokens),
           limits.max_num_batched_tokens * per_token + limits.max_model_len * b.workspace_bytes_per_position + b.workspace_bytes},
          {fmt::format("logits of {} rows, and sampling", limits.logit_rows),
           limits.logit_rows * config.vocab_size * 4 + Sampler::workspace_bytes(config.vocab_size)},
          {fmt::format("recurrent state of {} sequences", limits.state_slot_count),
           limits.state_slot_count * slot_bytes}};
}

std::int64_t sum_of(const std::vector<MemoryLine>& lines) {
  std::int64_t sum = 0;
  for (const MemoryLine& line : lines) sum += line.bytes;
  return sum;
}

/// States that the prefix cache keeps beyond the slots of sequences. `left_bytes` are what one sequence leaves.
std::int64_t kept_states(std::int64_t slot_bytes, std::int64_t left_bytes, const EngineOptions& options, const EngineLimits& limits) {
  if (!options.prefix_caching) return 0;
  if (slot_bytes == 0) return kStatesOfNoBytes;
  if (options.prefix_state_bytes >= 0) return options.prefix_state_bytes / slot_bytes;
  return std::clamp<std::int64_t>(left_bytes / 8 / slot_bytes, 0, limits.max_num_seqs);
}

}  // namespace

std::int64_t MemoryPlan::requests_at(std::int64_t context) const {
  const std::int64_t blocks_each = ceil_div(context, limits.kv_block_tokens);
  return std::min(limits.max_num_seqs, limits.kv_block_count / blocks_each);
}

std::vector<std::int64_t> MemoryPlan::shown_contexts() const {
  constexpr std::int64_t kShortest = 512;
  std::vector<std::int64_t> contexts = {limits.max_model_len};
  while (contexts.back() / 4 >= kShortest) contexts.push_back(contexts.back() / 4);
  return contexts;
}

std::vector<std::string> MemoryPlan::describe() const {
  std::vector<std::string> rows = table(lines, total_bytes);
  for (const std::int64_t context : shown_contexts()) {
    rows.push_back(fmt::format("  {} requests at context {}", requests_at(context), context));
  }
  return rows;
}

MemoryPlan plan_memory(const checkpoint::ModelConfig& config, const BackendSizes& backend, const EngineOptions& options) {
  const model::SequenceMemory memory = model::sequence_memory(config);
  MemoryPlan plan{.limits = wanted_limits(config, backend, options),
                  .lines = {},
                  .total_bytes = 0,
                  .budget_bytes = options.memory_budget_bytes,
                  .state_bytes_per_sequence = memory.recurrent_elements_per_slot * backend.state_bytes +
                                              (memory.conv_elements_per_slot +
                                               memory.conv_elements_per_slot / std::max<std::int64_t>(config.conv_taps - 1, 1) *
                                                   backend.conv_rows_more) * backend.real_bytes,
                  .kv_bytes_per_token = memory.kv_elements_per_token * backend.kv_bytes};
  EngineLimits& limits = plan.limits;
  const std::int64_t block = kBlockTokens * plan.kv_bytes_per_token;
  const std::int64_t blocks_each = ceil_div(limits.max_model_len, kBlockTokens);
  const auto needed = [&] { return sum_of(plan.lines) + blocks_each * block; };

  if (plan.budget_bytes == 0) {
    plan.budget_bytes = backend.available_bytes > 0 ? backend.available_bytes : available_memory_bytes() / 10 * 6;
  }
  plan.lines = fixed_lines(config, backend, plan.state_bytes_per_sequence, limits);
  // Fewer sequences rather than a refusal, unless their number was asked for.
  while (needed() > plan.budget_bytes && options.max_num_seqs == 0 && limits.max_num_seqs > 1) {
    limits.max_num_seqs /= 2;
    plan.lines = fixed_lines(config, backend, plan.state_bytes_per_sequence, limits);
  }
  const std::int64_t left = plan.budget_bytes - sum_of(plan.lines) - blocks_each * block;
  const std::int64_t kept = kept_states(plan.state_bytes_per_sequence, left, options, limits);
  limits.state_slot_count += kept;
  if (kept > 0) plan.lines.push_back({fmt::format("{} states of the prefix cache", kept), kept * plan.state_bytes_per_sequence});
  const std::int64_t spare = plan.budget_bytes - sum_of(plan.lines);
  const std::int64_t affordable = block > 0 ? spare / block : blocks_each * limits.max_num_seqs;
  limits.kv_block_count = std::min(affordable, blocks_each * limits.max_num_seqs);
  if (options.kv_block_count > 0) limits.kv_block_count = std::min(affordable, options.kv_block_count);
  plan.lines.push_back({fmt::format("KV blocks, one sequence of {} tokens", limits.max_model_len), blocks_each * block});
  if (spare < 0 || limits.kv_block_count < blocks_each) {
    throw Error(ErrorKind::kOutOfBudget,
                fmt::format("the model does not fit a memory budget of {}; wanted at the least:\n{}\n"
                            "give a larger --memory-budget, or lower --max-model-len, --max-num-seqs or "
                            "--max-num-batched-tokens",
                            format_bytes(plan.budget_bytes), fmt::join(table(plan.lines, sum_of(plan.lines)), "\n")));
  }
  plan.lines.back() = {fmt::format("{} KV blocks of {} tokens", limits.kv_block_count, kBlockTokens),
                       limits.kv_block_count * block};
  plan.total_bytes = sum_of(plan.lines);
  if (backend.free_bytes > 0 && plan.total_bytes > backend.free_bytes) {
    throw Error(ErrorKind::kOutOfBudget,
                fmt::format("a memory budget of {} is more than the device has free, {}; wanted:\n{}\n"
                            "give a --memory-budget within that, end what else uses the device, or use --device cpu",
                            format_bytes(plan.budget_bytes), format_bytes(backend.free_bytes),
                            fmt::join(table(plan.lines, plan.total_bytes), "\n")));
  }
  return plan;
}

}  // namespace nvllm::engine
