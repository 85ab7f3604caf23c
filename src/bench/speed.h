#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/profile/budget.h"
#include "engine/engine.h"
#include "kernels/cost.h"
#include "kernels/launch_note.h"

namespace nvllm::bench {

/// What is to be timed.
struct SpeedOptions {
  std::string model;          ///< a folder or "synthetic:NAME"
  std::int64_t batch = 1;     ///< sequences that decode together
  std::int64_t context = 64;  ///< prompt tokens of each, timed as prefill
  std::int64_t steps = 32;    ///< decode steps timed
  engine::EngineOptions engine;
};

/// One kernel's part in the timed decode steps.
struct KernelSpeed {
  std::string operation;
  double calls_per_step = 0;
  double seconds_per_step = 0;
  Cost cost_per_step;
};

/// What came of it.
struct SpeedReport {
  std::string model, device, leg;
  std::int64_t batch = 0, context = 0, steps = 0, threads = 0;
  double prefill_seconds = 0;           ///< batch x context tokens
  double step_seconds = 0;              ///< median of the decode steps
  double profiled_step_seconds = 0;     ///< mean of the steps the kernels were timed in
  double read_bytes_per_second = 0;     ///< the sweep, median of looks between steps
  bool on_gpu = false;
  LaunchClock clock = LaunchClock::kHost;  ///< of the kernels' times
  std::int64_t lost_kernels = 0;           ///< that ran and are in no row
  std::vector<KernelSpeed> kernels;     ///< most expensive first
  std::vector<KernelSpeed> host_work;   ///< named work of the host, the same
  BudgetClosure budget{};               ///< what was named against the steps without listening

  double decode_tokens_per_second() const { return static_cast<double>(batch) / step_seconds; }
  double prefill_tokens_per_second() const { return static_cast<double>(batch * context) / prefill_seconds; }
  Cost step_cost() const;
  /// Share of a step without a listener in which no kernel ran; of use where kernels are timed in the steps themselves.
  double idle_share() const { return 1 - budget.kernel_share(); }
};

/// Times prefill and decode of one model on a CPU or GPU, without a server: greedy sampling included,
/// scheduling and text not. Steps with and without a listener take turns and the read sweep runs between
/// them, since clocks and neighbours drift.
///   Errors: those of engine::open_engine; Error(kUsage) if batch or context do not fit.
SpeedReport measure_speed(const SpeedOptions& options);

/// "tokens/s and share of the roofline", then every kernel.
std::string speed_summary(const SpeedReport& report);
/// Every kernel and named host work: time, bytes, GB/s, share of the read sweep; then the budget.
std::string kernel_table(const SpeedReport& report);
Json speed_json(const SpeedReport& report);

}  // namespace nvllm::bench
