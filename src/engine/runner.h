#pragma once

#include <functional>
#include <memory>

#include "checkpoint/checkpoint.h"
#include "engine/engine.h"
#include "engine/step_plan.h"
#include "kernels/launch_note.h"
#include "tensor/view.h"

namespace nvllm::engine {

/// Hears of every step's raw logits, row by row as planned, on the host. For tests and evidence; normally absent.
using LogitListener = std::function<void(const StepPlan& plan, View<const float> logits)>;

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
  /// Whom every step's raw logits are shown to, from the next step on.
  virtual void set_logit_listener(LogitListener /*listener*/) {}
};

/// Whether the options' device is a GPU; `auto` is where one can be used.
bool uses_gpu(const EngineOptions& options);
/// A runner on the options' device, CPU or GPU.  Errors: those of open_engine.
std::unique_ptr<Runner> open_runner(const checkpoint::Checkpoint& files, const EngineOptions& options);

}  // namespace nvllm::engine
