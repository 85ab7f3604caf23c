#include "engine/runner_cpu.h"

#include <algorithm>
#include <thread>

#include "engine/weight_totals.h"

namespace nvllm::engine {

template class ModelRunner<CpuOps>;
template class ModelRunner<ReferenceOps>;

namespace {

CpuOpsOptions cpu_options(const EngineOptions& options, const EngineLimits& limits) {
  return {.threads = worker_count(options), .tokens_max = limits.max_num_batched_tokens,
          .positions_max = limits.max_model_len};
}

}  // namespace

std::int64_t worker_count(const EngineOptions& options) {
  if (options.thread_count > 0) return options.thread_count;
  return std::max<std::int64_t>(1, std::thread::hardware_concurrency());
}

FusionPlan fusion_of(const EngineOptions& options) {
  return options.fusion.empty() ? named_leg(options.leg) : parse_fusion(options.fusion);
}

MemoryPlan plan_cpu_memory(const checkpoint::Checkpoint& files, const EngineOptions& options) {
  const WeightTotals totals = weigh<CpuOps>(files);
  const CpuOpsOptions one_token{.threads = 0, .tokens_max = 1, .positions_max = 0};
  const CpuOpsOptions one_position{.threads = worker_count(options), .tokens_max = 0, .positions_max = 1};
  MemoryPlan plan =
      plan_memory(files.config(),
                  {.weight_bytes = totals.prepared_bytes, .real_bytes = sizeof(CpuOps::Real),
                   .kv_bytes = sizeof(CpuOps::Kv), .state_bytes = sizeof(CpuOps::State),
                   .angle_bytes = sizeof(CpuOps::Angle),
                   .workspace_bytes_per_token = CpuOps::workspace_bytes(one_token, totals.cols_max),
                   .workspace_bytes_per_position = CpuOps::workspace_bytes(one_position, totals.cols_max)},
                  options);
  plan.limits.device = "cpu (" + CpuOps::simd_target() + ")";
  return plan;
}

std::unique_ptr<ModelRunner<CpuOps>> make_cpu_runner(const checkpoint::Checkpoint& files, const EngineOptions& options,
                                                     const MemoryPlan& plan, const LoadProgress& progress) {
  auto ops = std::make_unique<CpuOps>(cpu_options(options, plan.limits));
  return std::make_unique<ModelRunner<CpuOps>>(std::move(ops), files, fusion_of(options), plan.limits,
                                               counted(progress, weigh<CpuOps>(files).file_bytes));
}

std::unique_ptr<ModelRunner<CpuOps>> make_cpu_runner(const checkpoint::Checkpoint& files,
                                                     const EngineOptions& options) {
  return make_cpu_runner(files, options, plan_cpu_memory(files, options));
}

MemoryPlan plan_reference_memory(const checkpoint::Checkpoint& files, const EngineOptions& options) {
  MemoryPlan plan = plan_memory(files.config(),
                                {.weight_bytes = weigh<ReferenceOps>(files).prepared_bytes,
                                 .real_bytes = sizeof(ReferenceOps::Real), .kv_bytes = sizeof(ReferenceOps::Kv),
                                 .state_bytes = sizeof(ReferenceOps::State), .angle_bytes = sizeof(ReferenceOps::Angle),
                                 .workspace_bytes_per_token = 0, .workspace_bytes_per_position = 0},
                                options);
  plan.limits.device = "reference";
  return plan;
}

std::unique_ptr<ModelRunner<ReferenceOps>> make_reference_runner(const checkpoint::Checkpoint& files,
                                                                 const EngineOptions& options, const MemoryPlan& plan,
                                                                 const LoadProgress& progress) {
  return std::make_unique<ModelRunner<ReferenceOps>>(std::make_unique<ReferenceOps>(), files, fusion_of(options),
                                                     plan.limits,
                                                     counted(progress, weigh<ReferenceOps>(files).file_bytes));
}

std::unique_ptr<ModelRunner<ReferenceOps>> make_reference_runner(const checkpoint::Checkpoint& files,
                                                                 const EngineOptions& options) {
  return make_reference_runner(files, options, plan_reference_memory(files, options));
}

}  // namespace nvllm::engine
