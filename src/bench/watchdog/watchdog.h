#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "bench/watchdog/host_sampler.h"
#include "bench/watchdog/watch_rules.h"

namespace nvllm::bench {

/// What a watch looks at, by which rules, and where it writes.
struct WatchOptions {
  SamplerOptions sampler{};
  WatchThresholds thresholds{};
  std::filesystem::path log_file{};        ///< mem_watchdog.log; "" for none
  std::filesystem::path telemetry_file{};  ///< telemetry.csv, a row a look; "" for none
  double log_interval_s = 30;
};

/// Hears of every change of level, from the thread that looks. Must be quick and must not throw.
using WatchAlarm = std::function<void(const WatchVerdict& verdict)>;

/// One look at a time: sample, judge, write, tell. Has no thread of its own. look() is for one thread,
/// everything else for any.
class Watch {
 public:
  /// Borrows the clock. Files are appended to.
  ///   Errors: Error(kBadFile) if a file cannot be opened.
  Watch(WatchOptions options, WatchAlarm alarm, const Clock& clock);

  WatchVerdict look();

  /// The server gave a sign of life: a token, a line of its log. From now on silence counts.
  void heartbeat();
  /// Nothing is expected of the server until the next heartbeat.
  void expect_silence();
  void set_forecast(const WatchForecast& forecast);
  /// What the unit is doing, for the telemetry: "warming", "measuring", ...
  void set_phase(std::string phase);
  /// Whose resident memory is told from now on; nothing for nobody's.
  void set_pid(std::optional<std::int64_t> pid);

 private:
  HostSample sample();
  void write_log(const WatchVerdict& verdict);
  void write_telemetry();

  WatchOptions options_;
  const WatchAlarm alarm_;
  const Clock& clock_;
  const SteadyTime begin_;
  std::ofstream log_, telemetry_;
  std::deque<HostSample> recent_;  ///< what the longest rule needs, and a little more
  WatchLevel level_ = WatchLevel::kOk;
  std::optional<SteadyTime> last_log_;

  std::mutex mutex_;  ///< guards what follows
  std::optional<SteadyTime> last_sign_;
  WatchForecast forecast_;
  std::string phase_;
  std::optional<std::int64_t> pid_;
};

/// Looks once a second on a thread of its own until it is destroyed.
class Watchdog {
 public:
  /// Borrows the watch.
  explicit Watchdog(Watch& watch, std::chrono::milliseconds interval = std::chrono::seconds(1));

 private:
  void run(const std::stop_token& stop, std::chrono::milliseconds interval);

  Watch& watch_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: joined before what it uses goes
};

}  // namespace nvllm::bench
