#pragma once

// One unit of a sweep: a leg, a phase, a round, in a server boot of its own. A unit fails by
// throwing; what it wrote until then stays.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/records/evidence.h"
#include "bench/run/burst.h"
#include "bench/run/earlier.h"
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
  /// By leg: what differs from `identity` where a leg's server is another program.
  std::map<std::string, Json> leg_identity;
  /// Told where a unit stands: a state of the journal, and the share of its work that is done.
  std::function<void(const std::string& state, double share)> progress;
};

/// One unit at work.
struct UnitRun {
  const RunContext& run;
  const SweepLeg& leg;
  Unit unit;
  std::int64_t attempt = 1;
  std::filesystem::path folder;           ///< the unit's own
  std::string boot_id{};                  ///< set once the server is up
  std::vector<EarlierAttempt> earlier{};  ///< of its group
  Json engine = Json::object();           ///< what was asked of the server and what it showed
  /// Rules that applied because something was missing or not as wanted: {"rule", "reason"}.
  Json deviations = Json::array();

  /// Between two requests: tells the watchdog of life, and stops where someone asked to.
  ///   Errors: Error(kUnavailable) naming the cause.
  void breathe() const;
  void tell(const std::string& state, double share) const;
  void deviate(const std::string& rule, const std::string& reason);
};

/// The server of a unit: a process of ours, or one that runs already.
struct UnitServer {
  BurstTarget target;       ///< with the features it showed, answers whole where counted
  ServerFeatures features;  ///< all that it showed
  std::unique_ptr<ServerProcess> process;  ///< null: it is not ours
};

/// What a phase adds to the leg's server.
struct ServerAdditions {
  std::vector<std::string> arguments{};  ///< behind the leg's
  std::filesystem::path preload{};       ///< a profile library, loaded into all its processes
  std::filesystem::path profiles{};      ///< where those have their sockets and write
};

/// Starts the leg's server with its log in the unit's folder, or goes to the one that runs, waits
/// until it is ready, finds out what it can and whether it serves the sweep's model, and writes
/// capabilities.json.
///   Errors: Error(kUnavailable) as ServerProcess and probe_capabilities; also if it serves another
///           model than the sweep names.
UnitServer start_server(UnitRun& unit, const ServerAdditions& additions);

/// Stops it, if it is ours.
///   Errors: Error(kUnavailable) if a server of our own kind did not end with status 0: what it
///           measured is then in doubt.
void stop_server(UnitRun& unit, UnitServer& server);

/// The folder for profiles, which goes when the unit ends.
std::filesystem::path incoming_folder(const UnitRun& unit);

/// The files that every unit leaves: its capabilities and, where the server is ours, its log.
std::vector<std::string> common_files(const UnitRun& unit);

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
