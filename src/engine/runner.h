#pragma once

#include "engine/engine.h"
#include "engine/step_plan.h"

namespace nvllm::engine {

/// Executes steps on some backend: the one virtual call of a step. Owns weights and pools.
class Runner {
 public:
  virtual ~Runner() = default;
  /// The settled sizes.
  virtual const EngineLimits& limits() const = 0;
  /// Computes a step.  Errors: Error(kDevice) or any other exception ends the engine.
  virtual StepResult run(const StepPlan& plan) = 0;
};

}  // namespace nvllm::engine
