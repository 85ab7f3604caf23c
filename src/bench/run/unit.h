#pragma once

// One unit of a sweep: a leg, a phase, a round, in a server boot of its own. A unit fails by
// throwing; what it wrote until then stays.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/records/evidence.h"
#include "bench/run/run_control.h"
#include "bench/run/settings.h"
#include "bench/server_process.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// What is the same for every unit of a run.
struct RunContext {
  std::string program;  ///< the nvllm binary that serves
  RunSettings settings;
  Json identity;  ///< fields of every metadata file: model, its digest, tool, binary
  RunControl* control = nullptr;
  Watch* watch = nullptr;
  /// Told where a unit stands: a state of the journal, and the share of its work that is done.
  std::function<void(const std::string& state, double share)> progress;
};

/// One unit at work.
struct UnitRun {
  const RunContext& run;
  const SweepLeg& leg;
  Unit unit;
  std::int64_t attempt = 1;
  std::filesystem::path folder;  ///< the unit's own
  std::string boot_id;           ///< set once the server is up

  /// Between two requests: tells the watchdog of life, and stops where someone asked to.
  ///   Errors: Error(kUnavailable) naming the cause.
  void breathe() const;
  void tell(const std::string& state, double share) const;
};

/// Starts the leg's server with its log in the unit's folder and waits until it is ready.
///   Errors: Error(kUnavailable) as ServerProcess.
std::unique_ptr<ServerProcess> start_server(UnitRun& unit,
                                            const std::vector<std::string>& further_arguments);

/// Stops it.
///   Errors: Error(kUnavailable) if it did not end with status 0: what it measured is then in
///   doubt.
void stop_server(const UnitRun& unit, ServerProcess& server);

/// The fields that every metadata file of a unit begins with.
Json unit_metadata(const UnitRun& unit, const char* schema);

/// Measures the leg's kernels and returns the names of the files it left. Two bursts must agree
/// with the call law and with the leg's expected calls.
///   Errors: Error(kUnavailable) naming what went wrong; the kernel with the calls seen and wanted.
std::vector<std::string> run_profile_unit(UnitRun& unit);

/// Puts the questions and returns the names of the files it left.
///   Errors: Error(kUnavailable); a question that fails is a line of its own, not an error.
std::vector<std::string> run_gsm8k_unit(UnitRun& unit);

/// UTC, "2026-05-15T21:37:50Z".
std::string utc_now();

}  // namespace nvllm::bench
