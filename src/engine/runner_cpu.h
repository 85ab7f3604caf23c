#pragma once

#include <memory>

#include "engine/memory_plan.h"
#include "engine/model_runner.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/reference/reference_ops.h"

namespace nvllm::engine {

extern template class ModelRunner<CpuOps>;
extern template class ModelRunner<ReferenceOps>;

/// Plans memory for the CPU backend and builds its runner. Throws as open_engine does.
std::unique_ptr<ModelRunner<CpuOps>> make_cpu_runner(const checkpoint::Checkpoint& files, const EngineOptions& options,
                                                     const LoadProgress& progress = {});
/// The same for the double-precision oracle.
std::unique_ptr<ModelRunner<ReferenceOps>> make_reference_runner(const checkpoint::Checkpoint& files,
                                                                 const EngineOptions& options,
                                                                 const LoadProgress& progress = {});

/// The plan alone, without taking memory.
MemoryPlan plan_cpu_memory(const checkpoint::Checkpoint& files, const EngineOptions& options);

}  // namespace nvllm::engine
