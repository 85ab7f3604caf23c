#include "bench/watchdog/watchdog.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "bench/watchdog/fake_proc.h"

namespace nvllm::bench {
namespace {

/// Time that passes when it is told to.
class ManualClock final : public Clock {
 public:
  SteadyTime now() const override { return SteadyTime{} + std::chrono::milliseconds(ms_); }
  void pass(double seconds) { ms_ += static_cast<std::int64_t>(seconds * 1000); }

 private:
  std::atomic<std::int64_t> ms_{1'000'000};
};

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::istringstream in(read_file(path, 1 << 20));
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// A watch over a fake host, with its files in a folder of its own.
struct WatchTest : ::testing::Test {
  WatchOptions options() const {
    return {.sampler = {.proc_root = proc.path(), .disk = proc.path()},
            .thresholds = {},
            .log_file = folder / "mem_watchdog.log",
            .telemetry_file = folder / "telemetry.csv"};
  }
  WatchAlarm record() {
    return [this](const WatchVerdict& verdict) { levels.push_back(verdict.level); };
  }

  test::FakeProc proc;
  nvllm::testing::TempFolder folder;
  ManualClock clock;
  std::vector<WatchLevel> levels;
};

TEST_F(WatchTest, TellsEveryChangeOfLevelOnce) {
  Watch watch(options(), record(), clock);
  const auto look = [&](std::int64_t available_kib) {
    proc.set_memory(64'000'000, available_kib);
    clock.pass(1);
    return watch.look().level;
  };
  EXPECT_EQ(look(32'000'000), WatchLevel::kOk);
  EXPECT_EQ(look(9'000'000), WatchLevel::kWarn);
  EXPECT_EQ(look(9'000'000), WatchLevel::kWarn);
  EXPECT_EQ(look(6'000'000), WatchLevel::kSoftStop);
  EXPECT_EQ(look(3'000'000), WatchLevel::kHardStop);
  EXPECT_EQ(look(32'000'000), WatchLevel::kOk);
  EXPECT_EQ(levels, (std::vector<WatchLevel>{WatchLevel::kWarn, WatchLevel::kSoftStop, WatchLevel::kHardStop,
                                             WatchLevel::kOk}));
}

TEST_F(WatchTest, WritesALogLineEveryThirtySecondsAndAtEveryChange) {
  Watch watch(options(), record(), clock);
  for (int second = 0; second <= 60; ++second) {
    watch.look();
    clock.pass(1);
  }
  EXPECT_EQ(lines_of(folder / "mem_watchdog.log").size(), 3u);  // at 0, 30 and 60 s
  proc.set_memory(64'000'000, 9'000'000);
  watch.look();
  const auto lines = lines_of(folder / "mem_watchdog.log");
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_NE(lines[2].find("Z ok mem_available=30.5 GiB psi_full=0.25 %"), std::string::npos) << lines[2];
  EXPECT_NE(lines[3].find("Z warn "), std::string::npos) << lines[3];
  EXPECT_NE(lines[3].find("; warn mem_available: 8.58 GiB available, below 9.16 GiB"), std::string::npos) << lines[3];
}

TEST_F(WatchTest, WritesATelemetryRowALook) {
  Watch watch(options(), record(), clock);
  watch.set_phase("warming");
  watch.look();
  clock.pass(1);
  proc.remove("pressure");
  watch.set_phase("measuring");
  watch.look();
  const auto lines = lines_of(folder / "telemetry.csv");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(
      lines[0],
      "t,sm_mhz,mem_mhz,temp,power_w,energy_j,throttle_bits,mem_avail,psi_some,psi_full,swap_in,rss,disk_free,phase");
  EXPECT_TRUE(lines[1].starts_with("0.000,,,,,,,32768000000,0.5,0.25,")) << lines[1];
  EXPECT_TRUE(lines[1].ends_with(",warming"));
  EXPECT_TRUE(lines[2].starts_with("1.000,,,,,,,32768000000,,,")) << lines[2];
  for (const std::string& line : lines) EXPECT_EQ(std::ranges::count(line, ','), 13) << line;
}

TEST_F(WatchTest, CountsSilenceFromTheFirstHeartbeatOn) {
  Watch watch(options(), record(), clock);
  const auto level_after = [&](double seconds) {
    clock.pass(seconds);
    return watch.look().level;
  };
  EXPECT_EQ(level_after(1000), WatchLevel::kOk);
  watch.heartbeat();
  EXPECT_EQ(level_after(59), WatchLevel::kOk);
  EXPECT_EQ(level_after(2), WatchLevel::kWarn);
  watch.heartbeat();
  EXPECT_EQ(level_after(301), WatchLevel::kSoftStop);
  EXPECT_EQ(level_after(300), WatchLevel::kHardStop);
  watch.expect_silence();
  EXPECT_EQ(level_after(1), WatchLevel::kOk);
}

TEST_F(WatchTest, ForgetsSamplesThatNoRuleNeeds) {
  Watch watch(options(), record(), clock);
  proc.set_pressure(90, 90);
  for (int second = 0; second < 9; ++second) {
    watch.look();
    clock.pass(1);
  }
  clock.pass(3600);  // asleep
  proc.set_pressure(0, 0);
  EXPECT_EQ(watch.look().level, WatchLevel::kOk);
}

TEST_F(WatchTest, RefusesALogThatCannotBeWritten) {
  WatchOptions wrong = options();
  wrong.log_file = folder / "absent/mem_watchdog.log";
  EXPECT_THROW(Watch(wrong, record(), clock), Error);
}

TEST_F(WatchTest, AppendsToFilesThatAreThereWithoutASecondHeader) {
  for (int time = 0; time < 2; ++time) Watch(options(), record(), clock).look();
  EXPECT_EQ(lines_of(folder / "telemetry.csv").size(), 3u);
  EXPECT_EQ(lines_of(folder / "mem_watchdog.log").size(), 2u);
}

TEST_F(WatchTest, AWatchdogActsOnItsOwnThreadWithinTwoSeconds) {
  std::promise<std::thread::id> stopped;
  const SystemClock real;
  Watch watch(
      options(),
      [&](const WatchVerdict& verdict) {
        if (verdict.level == WatchLevel::kHardStop) stopped.set_value(std::this_thread::get_id());
      },
      real);
  const Watchdog dog(watch);  // at the interval it really has
  proc.set_memory(64'000'000, 1'000'000);
  auto seen = stopped.get_future();
  watch.heartbeat();
  ASSERT_EQ(seen.wait_for(std::chrono::seconds(2)), std::future_status::ready);
  EXPECT_NE(seen.get(), std::this_thread::get_id());
}

TEST_F(WatchTest, AWatchdogEndsAtOnce) {
  const SystemClock real;
  Watch watch(options(), record(), real);
  const SteadyTime begin = real.now();
  { const Watchdog dog(watch, std::chrono::hours(1)); }
  EXPECT_LT(seconds_between(begin, real.now()), 60);
}

}  // namespace
}  // namespace nvllm::bench
