#pragma once

#include <filesystem>
#include <string>

namespace nvllm::bench {

/// Whether a run begins a folder of its own or goes on with one that is not finished.
enum class RunStart { kNew, kResume };

/// Which folder a run writes into. `out` is that folder where it is not empty; else it is
/// ROOT/NAME/DATE, with a suffix -2, -3, ... where that exists already. Resuming takes the newest
/// folder below ROOT/NAME that is not closed. No older folder is ever written into otherwise.
///   Errors: Error(kUsage) if `out` holds something and the run is new, if it is closed, or if
///   there is nothing to
///           resume.
std::filesystem::path choose_folder(const std::filesystem::path& out,
                                    const std::filesystem::path& root, const std::string& name,
                                    const std::string& date, RunStart start);

/// UTC, "2026-05-15".
std::string utc_date();

}  // namespace nvllm::bench
