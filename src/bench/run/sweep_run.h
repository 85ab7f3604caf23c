#pragma once

// `nvllm bench sweep`: every unit in a server boot of its own, all of it written through one
// journal, then the comparison, the verdict and the reports.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "bench/run/place.h"
#include "bench/run/run_control.h"
#include "bench/watchdog/watch_rules.h"

namespace nvllm::bench {

/// What is asked for.
struct SweepRequest {
  std::filesystem::path sweep_file;
  std::filesystem::path out;                ///< the folder itself; "" for one below `root`
  std::filesystem::path root = "evidence";  ///< where folders of sweeps lie
  RunStart start = RunStart::kNew;
  std::string only;                           ///< as `selected` reads it
  std::filesystem::path model;                ///< in place of the file's
  std::string program;                        ///< the nvllm binary
  std::string tool;                           ///< "nvllm 0.1.0", for the record
  std::filesystem::path proc_root = "/proc";  ///< where the watchdog looks
};

/// Where a run stands, for people.
struct SweepProgress {
  std::string leg, phase, state;
  std::int64_t round = 0;
  double share = 0;  ///< of the unit
  std::int64_t units_done = 0, units = 0;
  double elapsed_s = 0, left_s = -1;  ///< left: below 0 while unknown
};

/// Who listens. Both may be empty.
struct SweepListener {
  std::function<void(const SweepProgress&)> on_progress{};
  std::function<void(const std::string& line)> say{};
};

/// Exit codes of section 4.1 that a run has beside those of a comparison.
inline constexpr int kExitIncomplete = 5, kExitWatchdog = 7, kExitIntegrity = 8,
                     kExitInterrupted = 130;

/// How a run ended.
struct SweepOutcome {
  int exit = 0;
  std::filesystem::path folder;
  std::string report;  ///< for the terminal: leg table, verdict, what is left
};

/// Runs what is left of a sweep. Signals and the watchdog stop it through `control`.
///   Errors: Error(kUsage) for the sweep file, the folder, the model; those of writing the folder.
///   Units that fail
///           are no errors: they stay visible and the outcome is incomplete.
SweepOutcome run_sweep(const SweepRequest& request, RunControl& control,
                       const SweepListener& listener);

}  // namespace nvllm::bench
