#pragma once

#include <chrono>

namespace nvllm {

/// Time that never runs backwards, for durations.
using SteadyTime = std::chrono::steady_clock::time_point;

/// Where time comes from. Tests give a clock of their own; everything else uses the system's.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime now() const = 0;
};

/// The system's steady clock.
class SystemClock final : public Clock {
 public:
  SteadyTime now() const override { return std::chrono::steady_clock::now(); }
};

/// Seconds from `from` to `to`.
inline double seconds_between(SteadyTime from, SteadyTime to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace nvllm
