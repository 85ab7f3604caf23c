#pragma once

#include <atomic>
#include <cstdint>

#include "bench/watchdog/watchdog.h"

namespace nvllm::bench {

/// Why a run ends before its plan does.
enum class StopCause { kNone, kInterrupt, kSoftStop, kHardStop };

/// Where signals and the watchdog meet the run. Safe from any thread; ask_to_stop from a signal
/// handler too.
class RunControl {
 public:
  /// Finish the request, then stop. The first cause counts, but a hard stop overrides.
  void ask_to_stop(StopCause cause);
  StopCause cause() const { return cause_.load(); }

  /// What the watchdog says: a soft stop is passed on, a hard one ends the running server at once.
  void hear(const WatchVerdict& verdict);
  /// Whose group a hard stop ends; 0 for nobody's.
  void set_server(std::int64_t process_id) { server_ = process_id; }

  /// Between requests: ends the unit if someone asked to.
  ///   Errors: Error(kUnavailable) naming the cause.
  void check() const;

 private:
  std::atomic<StopCause> cause_{StopCause::kNone};
  std::atomic<std::int64_t> server_{0};
  static_assert(std::atomic<StopCause>::is_always_lock_free);
};

/// "interrupted", "watchdog: soft stop", ...
const char* describe(StopCause cause);

}  // namespace nvllm::bench
