#pragma once

#include <filesystem>

#include "base/json.h"
#include "bench/records/evidence.h"

namespace nvllm::bench {

/// What the watchdog saw while a folder was measured, thinned to a few hundred points: the least
/// memory, the largest server and the most pressure of each piece of time, and which unit ran when.
/// Null where the folder has no telemetry.
///   Units:  seconds since the run began; GiB; per cent.
///   Errors: Error(kBadFile) naming the line.
Json telemetry_json(const std::filesystem::path& folder);

/// What did not end as it should, and was done again: every seal below LEG/attempts.
Json attempts_json(const EvidenceFolder& folder);

/// run.json: both for each folder.
Json run_json(const EvidenceFolder& baseline, const EvidenceFolder& candidate);

}  // namespace nvllm::bench
