#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bench/profile/log_histogram.h"
#include "kernels/launch_note.h"

namespace nvllm::bench {

/// Which kind of step a kernel ran in: all rows decode, or at least one row belongs to a prompt.
enum class ProfilePhase { kDecode, kPrefill };

/// What a profile's readers are told of a clock.
std::string_view to_string(LaunchClock clock);
/// "decode" or "prefill".
std::string_view to_string(ProfilePhase phase);
/// "kernel" or "host".
std::string_view to_string(WorkKind kind);

inline constexpr std::int64_t kEveryLayer = -2;  ///< the layer of rows that hold several

/// What one row of a profile is about. Row counts of a shape are rounded up to a power of two, so that
/// batches of changing size do not make a row each.
struct KernelIdentity {
  WorkKind kind = WorkKind::kKernel;
  std::string operation;
  std::int64_t layer = -1;  ///< -1 outside the layers, kEveryLayer if pooled
  LaunchShape shape;
  ProfilePhase phase = ProfilePhase::kDecode;
};

/// All calls of one identity.
struct KernelStats {
  KernelIdentity identity;
  std::int64_t call_count = 0;
  double total_s = 0, squares_s2 = 0, log_sum = 0;  ///< sums of seconds, squares, natural logarithms
  double min_s = 0, max_s = 0;
  std::int64_t row_sum = 0;  ///< exact rows, before rounding
  Cost cost;                 ///< summed
  LogHistogram histogram;

  double mean_s() const { return total_s / static_cast<double>(call_count); }
  /// The sample's standard deviation; 0 below two calls.
  double sd_s() const;
  /// From the histogram, never outside the extremes.
  double quantile_s(double q) const;
  void add(const LaunchNote& note);
  /// Pools another identity's calls into this one.
  void merge(const KernelStats& other);
};

/// One of the last calls, for a trace.
struct ProfileEvent {
  std::int32_t kernel = 0;  ///< index into Profile::kernels
  std::int64_t layer = -1;
  std::int64_t rows = 0, bytes = 0;
  double begin_s = 0, seconds = 0;  ///< begin_s: since the collector was made
};

/// One of the last steps.
struct ProfileStep {
  double begin_s = 0, wall_s = 0;
  std::int64_t decode_rows = 0, prefill_rows = 0;
  double kernel_s = 0, host_s = 0;  ///< what was announced within
};

/// Steps of one phase, all of them.
struct StepTotals {
  std::int64_t count = 0, rows = 0;
  double wall_s = 0, kernel_s = 0, host_s = 0;
};

/// How much a collector may remember. Everything else is a fixed sum.
struct CollectorLimits {
  std::int64_t identity_max = 4096;  ///< beyond, calls are pooled by operation and phase
  std::int64_t operation_max = 128;  ///< pooled rows; beyond, calls are pooled as "other"
  std::int64_t event_max = 65536;    ///< the last ones are kept
  std::int64_t step_max = 65536;     ///< the last ones are kept
  std::int64_t pending_max = 4096;   ///< calls put aside; they are added up between steps from half of that on
};

/// What a collector knows when it is asked.
struct Profile {
  std::vector<KernelStats> kernels;     ///< in order of first sight
  std::array<StepTotals, 2> steps;      ///< by ProfilePhase
  std::int64_t prefills = 0;            ///< sequences that started, again after losing their memory too
  std::int64_t pooled_calls = 0;        ///< calls beyond identity_max: their rows say kEveryLayer
  std::vector<ProfileEvent> events;     ///< oldest first
  std::int64_t dropped_events = 0;      ///< older ones, no longer kept
  std::vector<ProfileStep> last_steps;  ///< oldest first
  std::int64_t dropped_steps = 0;
  std::int64_t lost_kernels = 0;                ///< that ran and of which nothing was told
  LaunchClock clock = LaunchClock::kHost;       ///< of all times
  double adding_s = 0;  ///< the collector's own time for adding up, between steps

  const StepTotals& totals(ProfilePhase phase) const { return steps[static_cast<std::size_t>(phase)]; }
};

/// Adds up kernels and steps while they happen. After the first sight of an identity nothing is
/// allocated. Not thread-safe: read it when nobody announces to it any more.
///   Cost: within a step a note is only put aside; adding up waits for a step's end and for enough of them,
///         since after each step the tables have left the caches: some 0.1 us each. 10 KiB an identity; by
///         default 5 MiB for events, 4 MiB for steps.
class Collector final : public LaunchListener {
 public:
  explicit Collector(const CollectorLimits& limits = {});

  void on_launch(const LaunchNote& note) override;
  void on_clock(LaunchClock clock) override { clock_ = clock; }
  void on_lost(std::int64_t kernels) override { lost_kernels_ += kernels; }
  void on_step_begin(const StepNote& step) override;
  void on_step_end(SteadyTime end) override;

  Profile profile();

 private:
  /// Looks an identity up without owning its name.
  struct Key {
    WorkKind kind;
    std::string_view operation;  ///< of the row itself, once stored
    std::int64_t layer;
    LaunchShape shape;
    ProfilePhase phase;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  /// The last N of something.
  template <class T>
  struct Ring {
    std::vector<T> items;
    std::int64_t size_max = 0, seen = 0;
    void push(const T& item);
    std::vector<T> in_order() const;
    std::int64_t dropped() const { return seen - static_cast<std::int64_t>(items.size()); }
  };

  void add_pending();
  void add(const LaunchNote& note, ProfilePhase phase);
  std::int32_t row_of(const LaunchNote& note, ProfilePhase phase);
  std::int32_t pooled_row(const LaunchNote& note, ProfilePhase phase);
  std::int32_t add_row(const Key& key);

  CollectorLimits limits_;
  SteadyTime origin_;
  struct Pending {
    LaunchNote note;
    ProfilePhase phase;
  };
  std::vector<Pending> pending_;
  double adding_s_ = 0;
  std::int64_t lost_kernels_ = 0;
  LaunchClock clock_ = LaunchClock::kHost;
  std::vector<std::unique_ptr<KernelStats>> rows_;  ///< stable addresses: keys view their names
  std::unordered_map<Key, std::int32_t, KeyHash> index_;
  std::int64_t identity_count_ = 0, pooled_row_count_ = 0, pooled_calls_ = 0, prefills_ = 0;
  std::array<StepTotals, 2> steps_{};
  ProfilePhase phase_ = ProfilePhase::kDecode;
  ProfileStep step_;
  SteadyTime step_begin_{};
  Ring<ProfileEvent> events_;
  Ring<ProfileStep> last_steps_;
};

}  // namespace nvllm::bench
