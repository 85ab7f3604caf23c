#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace nvllm::bench {

/// What one look at the host and the server found. Whatever could not be read is absent.
struct HostSample {
  SteadyTime time{};
  std::optional<std::int64_t> mem_total_bytes, mem_available_bytes;
  std::optional<double> psi_some_pct, psi_full_pct;  ///< memory pressure, average of 10 s
  std::optional<std::int64_t> swap_in_bytes;         ///< since the host started
  std::optional<std::int64_t> disk_free_bytes;
  std::optional<std::int64_t> rss_bytes;      ///< of the server
  std::optional<double> silence_s;            ///< since the server's last sign of life, if one is due
  std::optional<double> gpu_memory_pct;       ///< where the driver reports it
  std::optional<std::int64_t> throttle_bits;  ///< reasons of thermal throttling; 0: none
};

/// How bad it is, in ascending order.
enum class WatchLevel {
  kOk,
  kWarn,
  kSoftStop,  ///< finish the request, stop the server, seal the unit as aborted
  kHardStop,  ///< kill our own process group
};

/// "ok", "warn", "soft_stop", "hard_stop".
std::string_view to_string(WatchLevel level);

/// Every number of the rules.
struct WatchThresholds {
  double mem_warn_share = 0.15, mem_soft_share = 0.08, mem_hard_share = 0.04;  ///< of all memory
  std::int64_t mem_soft_bytes = std::int64_t{6} << 30, mem_hard_bytes = std::int64_t{3} << 30;
  double mem_soft_flushes = 2;                                    ///< predicted flushes that must still fit
  double psi_warn_pct = 5, psi_soft_pct = 15, psi_hard_pct = 40;  ///< of psi_full
  double swap_warn_bytes_per_s = 50e6, swap_soft_bytes_per_s = 200e6;
  double sustained_s = 10;                            ///< how long pressure and swap must last to stop something
  double disk_warn_traces = 4, disk_soft_traces = 1;  ///< predicted traces that must still fit
  double silence_warn_s = 60, silence_soft_s = 300, silence_hard_s = 600;
  double gpu_memory_warn_pct = 95;
};

/// The rules for a host of this much memory. The absolute floors are meant for large hosts; on smaller ones
/// they are lowered to 10 % and 5 %, or every demo would be stopped before it began.
WatchThresholds thresholds_for(std::int64_t mem_total_bytes);

/// What the running unit is going to need.
struct WatchForecast {
  std::int64_t flush_bytes = 0;  ///< memory of writing out a profile
  std::int64_t trace_bytes = 0;  ///< disk of one trace
};

/// One rule that spoke up.
struct WatchFinding {
  WatchLevel level = WatchLevel::kOk;
  std::string signal;  ///< "mem_available", "psi_full", "swap_in", "disk_free", "silence", ...
  std::string text;    ///< the value seen and the value wanted
};

/// The worst finding decides.
struct WatchVerdict {
  WatchLevel level = WatchLevel::kOk;
  std::vector<WatchFinding> findings;
};

/// Judges the last sample in the light of those before it. A pure function.
///   Shapes: `samples` oldest first, a second or so apart; none is ok.
WatchVerdict judge(std::span<const HostSample> samples, const WatchThresholds& thresholds,
                   const WatchForecast& forecast);

/// Bytes read back from swap per second between the last two samples, if both are known.
std::optional<double> swap_in_bytes_per_s(std::span<const HostSample> samples);

}  // namespace nvllm::bench
