#pragma once

#include <memory>

#include "engine/memory_plan.h"
#include "engine/model_runner.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/reference/reference_ops.h"

namespace nvllm::engine {

extern template class ModelRunner<CpuOps>;
extern template class ModelRunner<ReferenceOps>;

/// CPU workers that the options ask for: one per core unless they say.
std::int64_t worker_count(const EngineOptions& options);

/// The fusion plan that the options ask for.  Errors: those of named_leg and parse_fusion.
FusionPlan fusion_of(const EngineOptions& options);

/// The plan for the CPU backend, from the headers of the checkpoint alone.  Errors: as plan_memory.
MemoryPlan plan_cpu_memory(const checkpoint::Checkpoint& files, const EngineOptions& options);
/// Packs the weights, takes the planned memory and builds the runner. Throws as open_engine does.
std::unique_ptr<ModelRunner<CpuOps>> make_cpu_runner(const checkpoint::Checkpoint& files, const EngineOptions& options,
                                                     const MemoryPlan& plan, const LoadProgress& progress = {});
/// Plans, then builds.
std::unique_ptr<ModelRunner<CpuOps>> make_cpu_runner(const checkpoint::Checkpoint& files,
                                                     const EngineOptions& options);

/// The same three for the double-precision oracle.
MemoryPlan plan_reference_memory(const checkpoint::Checkpoint& files, const EngineOptions& options);
std::unique_ptr<ModelRunner<ReferenceOps>> make_reference_runner(const checkpoint::Checkpoint& files,
                                                                 const EngineOptions& options, const MemoryPlan& plan,
                                                                 const LoadProgress& progress = {});
std::unique_ptr<ModelRunner<ReferenceOps>> make_reference_runner(const checkpoint::Checkpoint& files,
                                                                 const EngineOptions& options);

}  // namespace nvllm::engine
