#include "bench/run/run_control.h"

#include "base/error.h"
#include "bench/server_process.h"

namespace nvllm::bench {

void RunControl::ask_to_stop(StopCause cause) {
  StopCause none = StopCause::kNone;
  if (cause_.compare_exchange_strong(none, cause)) return;
  if (cause == StopCause::kHardStop) cause_ = cause;
}

void RunControl::hear(const WatchVerdict& verdict) {
  if (verdict.level == WatchLevel::kSoftStop) ask_to_stop(StopCause::kSoftStop);
  if (verdict.level != WatchLevel::kHardStop) return;
  ask_to_stop(StopCause::kHardStop);
  kill_server_group(server_);
}

void RunControl::check() const {
  if (const StopCause why = cause(); why != StopCause::kNone)
    throw Error(ErrorKind::kUnavailable, describe(why));
}

const char* describe(StopCause cause) {
  switch (cause) {
    case StopCause::kNone:
      break;
    case StopCause::kInterrupt:
      return "interrupted";
    case StopCause::kSoftStop:
      return "watchdog: soft stop";
    case StopCause::kHardStop:
      return "watchdog: hard stop";
  }
  return "not stopped";
}

}  // namespace nvllm::bench
