#include "bench/watchdog/watchdog.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <vector>

#include "base/error.h"
#include "base/units.h"

namespace nvllm::bench {

namespace {

constexpr double kMemorySlack = 3;  // times the longest rule

std::ofstream open_for_appending(const std::filesystem::path& path) {
  std::ofstream file;
  if (path.empty()) return file;
  file.open(path, std::ios::app);
  if (!file) throw Error(ErrorKind::kBadFile, fmt::format("{}: cannot be opened for appending", path.string()));
  return file;
}

std::string wall_time() {
  const auto now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(now));
}

template <class T>
std::string field(const std::optional<T>& value) {
  return value ? fmt::format("{}", *value) : std::string();
}

std::string size_text(const std::optional<std::int64_t>& bytes) { return bytes ? format_bytes(*bytes) : "unknown"; }

template <class T>
std::string known(const std::optional<T>& value, const char* pattern) {
  return value ? fmt::format(fmt::runtime(pattern), *value) : std::string("unknown");
}

}  // namespace

Watch::Watch(WatchOptions options, WatchAlarm alarm, const Clock& clock)
    : options_(std::move(options)),
      alarm_(std::move(alarm)),
      clock_(clock),
      begin_(clock.now()),
      log_(open_for_appending(options_.log_file)),
      telemetry_(open_for_appending(options_.telemetry_file)),
      pid_(options_.sampler.pid) {
  if (telemetry_.is_open() && telemetry_.tellp() == 0) {
    telemetry_
        << "t,sm_mhz,mem_mhz,temp,power_w,energy_j,throttle_bits,mem_avail,psi_some,psi_full,swap_in,rss,disk_free,"
           "phase\n"
        << std::flush;
  }
}

void Watch::heartbeat() {
  const std::lock_guard lock(mutex_);
  last_sign_ = clock_.now();
}

void Watch::expect_silence() {
  const std::lock_guard lock(mutex_);
  last_sign_.reset();
}

void Watch::set_forecast(const WatchForecast& forecast) {
  const std::lock_guard lock(mutex_);
  forecast_ = forecast;
}

void Watch::set_phase(std::string phase) {
  const std::lock_guard lock(mutex_);
  phase_ = std::move(phase);
}

void Watch::set_pid(std::optional<std::int64_t> pid) {
  const std::lock_guard lock(mutex_);
  pid_ = pid;
}

HostSample Watch::sample() {
  SamplerOptions where = options_.sampler;
  std::optional<SteadyTime> sign;
  {
    const std::lock_guard lock(mutex_);
    where.pid = pid_;
    sign = last_sign_;
  }
  HostSample out = sample_host(where, clock_.now());
  if (sign) out.silence_s = seconds_between(*sign, out.time);
  return out;
}

WatchVerdict Watch::look() {
  recent_.push_back(sample());
  while (seconds_between(recent_.front().time, recent_.back().time) > kMemorySlack * options_.thresholds.sustained_s) {
    recent_.pop_front();
  }
  WatchForecast forecast;
  {
    const std::lock_guard lock(mutex_);
    forecast = forecast_;
  }
  const std::vector<HostSample> samples(recent_.begin(), recent_.end());
  const WatchVerdict verdict = judge(samples, options_.thresholds, forecast);
  // The alarm first: where memory has run out, writing may take long.
  const bool changed = verdict.level != level_;
  level_ = verdict.level;
  if (changed && alarm_) alarm_(verdict);
  const SteadyTime now = recent_.back().time;
  if (changed || !last_log_ || seconds_between(*last_log_, now) >= options_.log_interval_s) {
    write_log(verdict);
    last_log_ = now;
  }
  write_telemetry();
  return verdict;
}

void Watch::write_log(const WatchVerdict& verdict) {
  if (!log_.is_open()) return;
  const HostSample& s = recent_.back();
  std::string line = fmt::format("{} {} mem_available={} psi_full={} swap_in={} rss={} disk_free={} silence={}",
                                 wall_time(), to_string(verdict.level), size_text(s.mem_available_bytes),
                                 known(s.psi_full_pct, "{:.2f} %"), size_text(s.swap_in_bytes), size_text(s.rss_bytes),
                                 size_text(s.disk_free_bytes), known(s.silence_s, "{:.0f} s"));
  for (const WatchFinding& finding : verdict.findings) {
    line += fmt::format("; {} {}: {}", to_string(finding.level), finding.signal, finding.text);
  }
  log_ << line << '\n' << std::flush;
}

void Watch::write_telemetry() {
  if (!telemetry_.is_open()) return;
  const HostSample& s = recent_.back();
  std::string phase;
  {
    const std::lock_guard lock(mutex_);
    phase = phase_;
  }
  // The GPU's columns are empty where there is none.
  telemetry_ << fmt::format("{:.3f},,,,,,{},{},{},{},{},{},{},{}\n", seconds_between(begin_, s.time),
                            field(s.throttle_bits), field(s.mem_available_bytes), field(s.psi_some_pct),
                            field(s.psi_full_pct), field(s.swap_in_bytes), field(s.rss_bytes), field(s.disk_free_bytes),
                            phase)
             << std::flush;
}

Watchdog::Watchdog(Watch& watch, std::chrono::milliseconds interval)
    : watch_(watch), thread_([this, interval](const std::stop_token& stop) { run(stop, interval); }) {}

void Watchdog::run(const std::stop_token& stop, std::chrono::milliseconds interval) {
  std::unique_lock lock(mutex_);
  auto next = std::chrono::steady_clock::now();
  while (!stop.stop_requested()) {
    watch_.look();
    // By the clock and not by pauses, so that looks do not drift; a look that took too long is not caught up on.
    next = std::max(next + interval, std::chrono::steady_clock::now());
    wake_.wait_until(lock, stop, next, [] { return false; });
  }
}

}  // namespace nvllm::bench
