#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "bench/profile/collector.h"

namespace nvllm::bench {

/// Whether what a profile adds up to is the time that a step takes when nobody listens.
enum class BudgetOutcome {
  kClosed,    ///< the shares add up
  kOpen,      ///< too little: work without a name, or lost records
  kOverfull,  ///< too much: listening slows what it times, or calls overlap
};

/// "closed", "BUDGET_OPEN" or "BUDGET_OVERFULL".
std::string_view to_string(BudgetOutcome outcome);

/// The time of one decode step, announced and measured without listening.
struct BudgetClosure {
  static constexpr double kShareMin = 0.95, kShareMax = 1.01;

  double kernel_s = 0, host_s = 0;  ///< announced, medians over the profiled steps
  double profiled_wall_s = 0;       ///< of a step with a listener, all that the listener does included
  double wall_s = 0;                ///< of a step that nobody listened to

  double kernel_share() const { return kernel_s / wall_s; }
  double host_share() const { return host_s / wall_s; }
  double share() const { return (kernel_s + host_s) / wall_s; }
  /// Profiled over unprofiled, less one.
  double overhead() const { return profiled_wall_s / wall_s - 1; }
  BudgetOutcome outcome() const;
};

/// Time from one decode step to the next, without and with a listener.
struct StepWalls {
  double unprofiled_s = 0, profiled_s = 0;
};

/// Holds the decode steps that a profile remembers against the time of an unprofiled one.
///   Errors: aborts if the profile has no decode step, or a time is not positive.
BudgetClosure close_budget(const Profile& profile, const StepWalls& walls);

/// Two lines for people: the shares with the gate, and what listening costs.
std::string budget_text(const BudgetClosure& budget);
Json budget_json(const BudgetClosure& budget);

}  // namespace nvllm::bench
