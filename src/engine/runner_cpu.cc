#include "engine/runner_cpu.h"

#include <algorithm>
#include <thread>

#include "checkpoint/weight_names.h"

namespace nvllm::engine {

template class ModelRunner<CpuOps>;
template class ModelRunner<ReferenceOps>;

namespace {

struct WeightTotals {
  std::int64_t prepared_bytes = 0;
  std::int64_t file_bytes = 0;
  std::int64_t cols_max = 0;
};

/// Adds up what the forward will prepare. Headers only: nothing is read or generated.
template <class B>
WeightTotals weigh(const checkpoint::Checkpoint& files) {
  WeightTotals totals;
  for (const checkpoint::WeightSpec& spec : checkpoint::required_weights(files.config())) {
    if (spec.name.starts_with("mtp.")) continue;  // the head for drafts stays in its file
    if (spec.role == checkpoint::WeightSpec::Role::kVector) {
      std::int64_t elements = 1;
      for (const std::int64_t extent : spec.shape) elements *= extent;
      totals.prepared_bytes += elements * 4;
      continue;
    }
    MatrixSource layout;
    layout.rows = spec.shape[0];
    layout.cols = spec.shape[1];
    layout.format = files.format(spec.name);
    totals.prepared_bytes += B::matrix_bytes(layout);
    totals.file_bytes += file_bytes(layout);
    totals.cols_max = std::max(totals.cols_max, layout.cols);
  }
  return totals;
}

std::int64_t thread_count(const EngineOptions& options) {
  if (options.thread_count > 0) return options.thread_count;
  return std::max<std::int64_t>(1, std::thread::hardware_concurrency());
}

model::PrepareProgress counted(const LoadProgress& progress, std::int64_t total) {
  if (!progress) return {};
  return [progress, total, done = std::int64_t{0}](std::int64_t bytes) mutable { progress(done += bytes, total); };
}

CpuOpsOptions cpu_options(const EngineOptions& options, const EngineLimits& limits) {
  return {.threads = thread_count(options), .tokens_max = limits.max_num_batched_tokens,
          .positions_max = limits.max_model_len};
}

MemoryPlan plan_for_cpu(const checkpoint::Checkpoint& files, const EngineOptions& options, const WeightTotals& totals) {
  const std::int64_t one_token = CpuOps::workspace_bytes({.threads = 0, .tokens_max = 1, .positions_max = 0}, totals.cols_max);
  return plan_memory(files.config(),
                     {.weight_bytes = totals.prepared_bytes, .real_bytes = 2, .kv_bytes = 2, .state_bytes = 4,
                      .workspace_bytes = thread_count(options) * options.max_model_len * 4,
                      .workspace_bytes_per_token = one_token},
                     options);
}

}  // namespace

MemoryPlan plan_cpu_memory(const checkpoint::Checkpoint& files, const EngineOptions& options) {
  return plan_for_cpu(files, options, weigh<CpuOps>(files));
}

std::unique_ptr<ModelRunner<CpuOps>> make_cpu_runner(const checkpoint::Checkpoint& files, const EngineOptions& options,
                                                     const LoadProgress& progress) {
  FusionPlan leg = named_leg(options.leg);
  const WeightTotals totals = weigh<CpuOps>(files);
  EngineLimits limits = plan_for_cpu(files, options, totals).limits;
  limits.device = "cpu (" + CpuOps::simd_target() + ")";
  auto ops = std::make_unique<CpuOps>(cpu_options(options, limits));
  return std::make_unique<ModelRunner<CpuOps>>(std::move(ops), files, std::move(leg), limits,
                                               counted(progress, totals.file_bytes));
}

std::unique_ptr<ModelRunner<ReferenceOps>> make_reference_runner(const checkpoint::Checkpoint& files,
                                                                 const EngineOptions& options,
                                                                 const LoadProgress& progress) {
  FusionPlan leg = named_leg(options.leg);
  const WeightTotals totals = weigh<ReferenceOps>(files);
  EngineLimits limits = plan_memory(files.config(),
                                    {.weight_bytes = totals.prepared_bytes, .real_bytes = 8, .kv_bytes = 8,
                                     .state_bytes = 8, .workspace_bytes = 0, .workspace_bytes_per_token = 0},
                                    options)
                            .limits;
  limits.device = "reference";
  return std::make_unique<ModelRunner<ReferenceOps>>(std::make_unique<ReferenceOps>(), files, std::move(leg), limits,
                                                     counted(progress, totals.file_bytes));
}

}  // namespace nvllm::engine
