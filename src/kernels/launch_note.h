#pragma once

// How work announces itself. Kernels tell of themselves; the engine tells of its steps and of what
// the host does in them. Whoever wants a profile listens; normally nobody does.

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/faults.h"
#include "kernels/cost.h"

namespace nvllm {

/// Who did the work: a kernel is a launch on a GPU or one parallel region on a CPU.
enum class WorkKind { kKernel, kHost };

/// By which clock kernels are timed.
enum class LaunchClock {
  kHost,             ///< around each kernel, which has ended when the host goes on
  kBetweenLaunches,  ///< the device's, by stamps between launches, which no longer overlap then
  kDeviceTrace,      ///< the device's, by the vendor's profiling library, in steps as they run when nobody listens
};

/// The extents of one kernel; 0 where it has none.
struct LaunchShape {
  std::int64_t rows = 0;     ///< of the activations: tokens, or rows whose logits are wanted
  std::int64_t outputs = 0;  ///< width of what is written
  std::int64_t inputs = 0;   ///< width of what a matrix is applied to; 0 for elementwise words

  friend bool operator==(const LaunchShape&, const LaunchShape&) = default;
};

/// One kernel's announcement of itself, or one piece of named host work.
struct LaunchNote {
  std::string_view operation;  ///< a word or a phrase's name; lives as long as the listener
  std::int64_t layer = -1;     ///< -1 outside the layers
  LaunchShape shape{};
  Cost cost{};
  SteadyTime begin{};  ///< on the host's clock
  double seconds = 0;  ///< wall time of the region; 0 where only the device knows
  WorkKind kind = WorkKind::kKernel;
};

/// What a step is about to compute.
struct StepNote {
  SteadyTime begin{};             ///< before it was planned
  std::int64_t decode_rows = 0;   ///< rows of sequences that advance by one token after others
  std::int64_t prefill_rows = 0;  ///< all other rows
  std::int64_t prefills = 0;      ///< sequences that start at their first token
};

/// Hears of every kernel and step. Normally there is none, and then no time stamps are taken. All
/// calls come from the thread that runs steps, in order, and must not throw.
class LaunchListener {
 public:
  virtual ~LaunchListener() = default;
  virtual void on_launch(const LaunchNote& note) = 0;
  /// By which clock the times of later notes are.
  virtual void on_clock(LaunchClock /*clock*/) {}
  /// So many kernels ran of which nothing is told.
  virtual void on_lost(std::int64_t /*kernels*/) {}
  /// What follows belongs to this step, until on_step_end.
  virtual void on_step_begin(const StepNote& /*step*/) {}
  virtual void on_step_end(SteadyTime /*end*/) {}
};

/// Announces what happens while it lives, with the time it took; does nothing without a listener. A
/// planted slowdown lengthens what happens, whether or not anybody listens.
class LaunchScope {
 public:
  /// `note` says everything but the times.
  LaunchScope(LaunchListener* listener, const LaunchNote& note)
      : listener_(listener), note_(note), slowdown_(planted_slowdown(note.operation)) {
    if (is_timed()) note_.begin = SystemClock().now();
  }
  ~LaunchScope() {
    if (!is_timed()) return;
    note_.seconds = seconds_between(note_.begin, SystemClock().now());
    if (slowdown_ > 0) spin_until_slowed();
    if (listener_ != nullptr) listener_->on_launch(note_);
  }
  LaunchScope(const LaunchScope&) = delete;
  LaunchScope& operator=(const LaunchScope&) = delete;

 private:
  bool is_timed() const { return listener_ != nullptr || slowdown_ > 0; }
  /// Spins rather than sleeps: a sleep is longer than most kernels.
  void spin_until_slowed() {
    const double wanted_s = note_.seconds * (1 + slowdown_);
    while (note_.seconds < wanted_s) note_.seconds = seconds_between(note_.begin, SystemClock().now());
  }

  LaunchListener* listener_;
  LaunchNote note_;
  double slowdown_;
};

/// Tells of host work that lasted from `begin` until `end`.
inline void note_host_work(LaunchListener& listener, std::string_view name, SteadyTime begin, SteadyTime end) {
  listener.on_launch(
      {.operation = name, .begin = begin, .seconds = seconds_between(begin, end), .kind = WorkKind::kHost});
}

}  // namespace nvllm
