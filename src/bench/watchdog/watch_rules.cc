// One function per signal, each a row of the table in WatchThresholds. An unknown value never speaks up:
// a host that cannot tell its pressure is not thereby under pressure.

#include "bench/watchdog/watch_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/units.h"

namespace nvllm::bench {

namespace {

using Samples = std::span<const HostSample>;

std::string bytes_text(double bytes) { return format_bytes(static_cast<std::int64_t>(bytes)); }

/// Whether something has been true of every sample for at least that long.
bool sustained(Samples samples, double seconds, const std::function<bool(Samples)>& holds) {
  SteadyTime since = samples.back().time;
  for (std::size_t count = samples.size(); count > 0 && holds(samples.first(count)); --count)
    since = samples[count - 1].time;
  return holds(samples) && seconds_between(since, samples.back().time) >= seconds;
}

WatchFinding memory_finding(Samples samples, const WatchThresholds& t, const WatchForecast& forecast) {
  const HostSample& now = samples.back();
  if (!now.mem_available_bytes || !now.mem_total_bytes) return {};
  const auto available = static_cast<double>(*now.mem_available_bytes),
             total = static_cast<double>(*now.mem_total_bytes);
  const double hard = std::max(t.mem_hard_share * total, static_cast<double>(t.mem_hard_bytes));
  const double soft = std::max({t.mem_soft_share * total, static_cast<double>(t.mem_soft_bytes),
                                t.mem_soft_flushes * static_cast<double>(forecast.flush_bytes)});
  const double warn = t.mem_warn_share * total;
  const auto below = [&](WatchLevel level, double limit) {
    return WatchFinding{level, "mem_available",
                        fmt::format("{} available, below {}", bytes_text(available), bytes_text(limit))};
  };
  if (available < hard) return below(WatchLevel::kHardStop, hard);
  if (available < soft) return below(WatchLevel::kSoftStop, soft);
  if (available < warn) return below(WatchLevel::kWarn, warn);
  return {};
}

WatchFinding pressure_finding(Samples samples, const WatchThresholds& t) {
  const auto above = [](double limit) {
    return [limit](Samples s) { return s.back().psi_full_pct.value_or(0) > limit; };
  };
  const auto finding = [&](WatchLevel level, double limit, std::string_view how_long) {
    return WatchFinding{
        level, "psi_full",
        fmt::format("memory pressure {:.1f} %, above {:.1f} %{}", *samples.back().psi_full_pct, limit, how_long)};
  };
  const std::string lasting = fmt::format(" for {:.0f} s", t.sustained_s);
  if (sustained(samples, t.sustained_s, above(t.psi_hard_pct)))
    return finding(WatchLevel::kHardStop, t.psi_hard_pct, lasting);
  if (sustained(samples, t.sustained_s, above(t.psi_soft_pct)))
    return finding(WatchLevel::kSoftStop, t.psi_soft_pct, lasting);
  if (above(t.psi_warn_pct)(samples)) return finding(WatchLevel::kWarn, t.psi_warn_pct, "");
  return {};
}

WatchFinding swap_finding(Samples samples, const WatchThresholds& t) {
  const auto above = [](double limit) {
    return [limit](Samples s) { return swap_in_bytes_per_s(s).value_or(0) > limit; };
  };
  const auto finding = [&](WatchLevel level, double limit, std::string_view how_long) {
    return WatchFinding{level, "swap_in",
                        fmt::format("swap comes in at {:.0f} MB/s, above {:.0f} MB/s{}",
                                    *swap_in_bytes_per_s(samples) / 1e6, limit / 1e6, how_long)};
  };
  if (sustained(samples, t.sustained_s, above(t.swap_soft_bytes_per_s))) {
    return finding(WatchLevel::kSoftStop, t.swap_soft_bytes_per_s, fmt::format(" for {:.0f} s", t.sustained_s));
  }
  if (above(t.swap_warn_bytes_per_s)(samples)) return finding(WatchLevel::kWarn, t.swap_warn_bytes_per_s, "");
  return {};
}

WatchFinding disk_finding(Samples samples, const WatchThresholds& t, const WatchForecast& forecast) {
  if (!samples.back().disk_free_bytes) return {};
  const auto free = static_cast<double>(*samples.back().disk_free_bytes);
  const auto below = [&](WatchLevel level, double traces) {
    return WatchFinding{level, "disk_free",
                        fmt::format("{} free, less than {:.0f} traces of {}", bytes_text(free), traces,
                                    format_bytes(forecast.trace_bytes))};
  };
  const auto trace = static_cast<double>(forecast.trace_bytes);
  if (free < t.disk_soft_traces * trace) return below(WatchLevel::kSoftStop, t.disk_soft_traces);
  if (free < t.disk_warn_traces * trace) return below(WatchLevel::kWarn, t.disk_warn_traces);
  return {};
}

WatchFinding silence_finding(Samples samples, const WatchThresholds& t) {
  const double silence_s = samples.back().silence_s.value_or(0);
  const auto beyond = [&](WatchLevel level, double limit) {
    return WatchFinding{level, "silence",
                        fmt::format("no token and no log for {:.0f} s, more than {:.0f} s", silence_s, limit)};
  };
  if (silence_s > t.silence_hard_s) return beyond(WatchLevel::kHardStop, t.silence_hard_s);
  if (silence_s > t.silence_soft_s) return beyond(WatchLevel::kSoftStop, t.silence_soft_s);
  if (silence_s > t.silence_warn_s) return beyond(WatchLevel::kWarn, t.silence_warn_s);
  return {};
}

WatchFinding gpu_memory_finding(Samples samples, const WatchThresholds& t) {
  const double used_pct = samples.back().gpu_memory_pct.value_or(0);
  if (used_pct <= t.gpu_memory_warn_pct) return {};
  return {WatchLevel::kWarn, "gpu_memory",
          fmt::format("{:.1f} % used, above {:.1f} %", used_pct, t.gpu_memory_warn_pct)};
}

/// A warning only: whether to cool down and repeat is for whoever owns the round to decide.
WatchFinding throttle_finding(Samples samples) {
  const std::int64_t bits = samples.back().throttle_bits.value_or(0);
  if (bits == 0) return {};
  return {WatchLevel::kWarn, "throttle",
          fmt::format("the clocks are throttled (reasons {:#x}): the round is tainted", bits)};
}

}  // namespace

std::string_view to_string(WatchLevel level) {
  switch (level) {
    case WatchLevel::kOk:
      return "ok";
    case WatchLevel::kWarn:
      return "warn";
    case WatchLevel::kSoftStop:
      return "soft_stop";
    case WatchLevel::kHardStop:
      break;
  }
  return "hard_stop";
}

WatchThresholds thresholds_for(std::int64_t mem_total_bytes) {
  WatchThresholds thresholds;
  thresholds.mem_soft_bytes = std::min(thresholds.mem_soft_bytes, mem_total_bytes / 10);
  thresholds.mem_hard_bytes = std::min(thresholds.mem_hard_bytes, mem_total_bytes / 20);
  return thresholds;
}

std::optional<double> swap_in_bytes_per_s(std::span<const HostSample> samples) {
  if (samples.size() < 2) return std::nullopt;
  const HostSample& before = samples[samples.size() - 2];
  const HostSample& now = samples.back();
  const double seconds = seconds_between(before.time, now.time);
  if (!before.swap_in_bytes || !now.swap_in_bytes || seconds <= 0) return std::nullopt;
  return static_cast<double>(*now.swap_in_bytes - *before.swap_in_bytes) / seconds;
}

WatchVerdict judge(std::span<const HostSample> samples, const WatchThresholds& thresholds,
                   const WatchForecast& forecast) {
  WatchVerdict verdict;
  if (samples.empty()) return verdict;
  for (WatchFinding& finding : std::vector{
           memory_finding(samples, thresholds, forecast), pressure_finding(samples, thresholds),
           swap_finding(samples, thresholds), disk_finding(samples, thresholds, forecast),
           silence_finding(samples, thresholds), gpu_memory_finding(samples, thresholds), throttle_finding(samples)}) {
    if (finding.level == WatchLevel::kOk) continue;
    verdict.level = std::max(verdict.level, finding.level);
    verdict.findings.push_back(std::move(finding));
  }
  return verdict;
}

}  // namespace nvllm::bench
