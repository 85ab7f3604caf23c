#pragma once

// Kernel counts of a running server: two bursts of different length, each under the server's own
// profiler, and the law that both obey.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/load/generation.h"
#include "bench/records/call_law.h"
#include "bench/records/kernel_table.h"

namespace nvllm::bench {

/// What is profiled.
struct ProfileOptions {
  PostTarget target;
  std::string model;
  ServerFeatures features;
  std::int64_t requests = 4;                    ///< of each burst, one after the other
  std::int64_t tokens = 64, tokens_short = 32;  ///< of each request; different, and at least 2
  double deadline_s = 600;                      ///< of one request
  /// Where a server writes torch traces (vLLM, SGLang); empty: the server's answer to /stop_profile
  /// names the folder (nvllm).
  std::filesystem::path traces;
  double trace_wait_s = 900;  ///< for a trace to be there, whole
};

/// One burst and where its profile came from.
struct BurstProfile {
  KernelTable table;  ///< with requests and decode steps
  std::int64_t tokens = 0;
  double wall_s = 0;
  std::filesystem::path source;       ///< the profile's folder or the trace
  std::vector<std::string> findings;  ///< why records may be missing
};

/// Both bursts and what follows.
struct ProfileRun {
  BurstProfile longer, shorter;
  LawReport law;  ///< in the order of the longer burst's table
};

/// Runs `work` under the server's profiler and reads the profile that appeared. What the work was
/// (requests, tokens) is the caller's to fill in. If the work throws, the profiler is stopped and
/// the error goes on.
///   Errors: as run_profile.
BurstProfile profile_while(const ProfileOptions& options, const std::function<void()>& work);

/// Warms up, profiles both bursts and solves the law.
///   Errors: Error(kUnsupported) if the server has no profile endpoints or its profiler is off;
///           Error(kUnavailable) if a request fails, ends early, or no whole trace comes;
///           Error(kNotFound) if the folder that the server names is not on this machine.
ProfileRun run_profile(const ProfileOptions& options);

/// The law, row by row, for people: calls per decode step and per request, share of time.
std::string law_table(const ProfileRun& run);

/// call_law.json.
Json law_json(const ProfileRun& run);

}  // namespace nvllm::bench
