#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/load/profile_run.h"
#include "bench/records/kernel_table.h"
#include "bench/run/burst.h"
#include "bench/run/injected_processes.h"

namespace nvllm::bench {

/// One profile as a server of ours wrote it.
struct ServerProfile {
  KernelTable kernels;  ///< by operation, layer, shape and phase; host work left out
  KernelTable symbols;  ///< by operation alone
  Json metadata;        ///< profile_metadata.json as it is
};

/// Reads the folder that POST /stop_profile names. What a kernel was asked to compute, rows x
/// outputs x inputs, stands in the place of a grid: on a CPU it is what tells calls of one
/// operation apart.
///   Errors: Error(kBadFile) naming file, line and field; Error(kNotFound).
ServerProfile read_server_profile(const std::filesystem::path& folder, const std::string& leg);

/// The same from an imported torch trace of the burst that took those times. Its metadata has a
/// device and a profiler, no phases: a trace does not tell decode steps from prefills.
ServerProfile torch_profile(const BurstProfile& burst, const BurstTimes& times,
                            const std::string& leg);

/// The same from what the processes of a server wrote in which our library counted, several of them
/// pooled: calls and times add up. Where kernels were lost there is a finding more than `profiles`
/// has; the metadata lists them all.
///   Errors: as read_server_profile.
ServerProfile injected_profile(const InjectedProfiles& profiles, const BurstTimes& times,
                               const std::string& leg);

}  // namespace nvllm::bench
