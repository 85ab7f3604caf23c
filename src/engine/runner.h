#pragma once

#include "engine/engine.h"
#include "engine/step_plan.h"
#include "kernels/launch_note.h"

namespace nvllm::engine {

/// Executes steps on some backend: the one virtual call of a step. Owns weights and pools.
class Runner {
 public:
  virtual ~Runner() = default;
  /// The settled sizes.
  virtual const EngineLimits& limits() const = 0;
  /// Computes a step.  Errors: Error(kDevice) or any other exception ends the engine.
  virtual StepResult run(const StepPlan& plan) = 0;
  /// Whom kernels and sampling announce themselves to from the next step on; null for nobody. Borrowed.
  /// Called between steps, by the thread that runs them.
  virtual void set_launch_listener(LaunchListener* /*listener*/) {}
};

}  // namespace nvllm::engine
