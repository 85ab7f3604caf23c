#pragma once

#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"
#include "engine/memory_plan.h"
#include "engine/runner.h"
#include "kernels/fusion_plan.h"

namespace nvllm::engine {

/// One sentence that says why this program cannot use a GPU here; empty if it can.
std::string why_no_cuda();

/// The fusion plan that the options ask for; leg `default` is the fastest that has been measured on a GPU.
///   Errors: those of named_leg and parse_fusion.
FusionPlan cuda_fusion(const EngineOptions& options);

/// Bytes a second of a read-only pass over the GPU's memory.  Errors: Error(kDevice).
double cuda_read_sweep();

/// The plan for the first GPU, from the headers of the checkpoint alone. Without a budget it shares out nine tenths of
/// the device's free memory.  Errors: as plan_memory; Error(kDevice) if there is no usable device.
MemoryPlan plan_cuda_memory(const checkpoint::Checkpoint& files, const EngineOptions& options);

/// Brings the weights to the device in its order, takes the planned memory, records the graphs of all decode widths
/// and builds the runner. Throws as open_engine does.
std::unique_ptr<Runner> make_cuda_runner(const checkpoint::Checkpoint& files, const EngineOptions& options, const MemoryPlan& plan,
                                         const LoadProgress& progress = {});

}  // namespace nvllm::engine
