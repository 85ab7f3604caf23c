#pragma once

// Times launches on the device, one after another, for whoever listens to them.

#include <cstdint>
#include <vector>

#include "kernels/launch_note.h"

struct CUstream_st;
struct CUevent_st;

namespace nvllm::cuda {

/// Puts a time stamp before every launch that announces itself. Launches no longer overlap then: a time is that of a kernel
/// alone and of its launch, and where the host launches more slowly than the device works, of the wait for it.
class LaunchTimer {
 public:
  LaunchTimer() = default;
  ~LaunchTimer();
  LaunchTimer(const LaunchTimer&) = delete;
  LaunchTimer& operator=(const LaunchTimer&) = delete;

  /// What is launched from now on, until the next mark or report, is this.
  void mark(const LaunchNote& note, CUstream_st* stream);
  /// Waits for the stream and tells of everything marked since the last report.
  ///   Errors: Error(kDevice) if any of it failed.
  void report(LaunchListener& listener, CUstream_st* stream);

 private:
  void stamp(CUstream_st* stream);

  std::vector<CUevent_st*> events_;  ///< made as they are needed, used again
  std::vector<LaunchNote> notes_;
  std::size_t used_ = 0;
};

}  // namespace nvllm::cuda
