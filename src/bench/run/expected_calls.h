#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "bench/sweep/sweep.h"
#include "checkpoint/model_config.h"
#include "kernels/fusion_plan.h"

namespace nvllm::bench {

/// Kernels by name with their calls per decode step.
using StepCalls = std::vector<std::pair<std::string, std::int64_t>>;

/// The geometry of a model folder or of "synthetic:NAME".
///   Errors: those of reading config.json and of known_shape.
checkpoint::ModelConfig read_geometry(const std::filesystem::path& model);

/// The fusion plan that a server started with these arguments has.
///   Errors: Error(kUsage) for --leg and --fusion that name none.
FusionPlan plan_of(const std::vector<std::string>& arguments);

/// Calls of the three fused phrases in a decode step, counted from plan and geometry.
StepCalls expected_calls(const FusionPlan& plan, const checkpoint::ModelConfig& model);

/// Gives every leg of the sweep its computed calls. What the file states beyond them stays; what it
/// states about the same kernels has to agree.
///   Errors: Error(kUsage) naming the leg, the kernel and both numbers.
void fill_expected_calls(Sweep& sweep, const checkpoint::ModelConfig& model);

}  // namespace nvllm::bench
