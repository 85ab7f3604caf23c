#pragma once

#include <cstdint>
#include <filesystem>

#include "bench/records/evidence.h"

namespace nvllm::bench {

/// What the published folders do not say themselves.
struct LegacyOptions {
  /// Output tokens of every profiled request: what the runner asked for, end of text ignored. One
  /// comes from the prefill, so each request has one decode step fewer.
  std::int64_t tokens_per_request = 256;
};

/// Reads a folder of the published three-leg sweep: LEG/profile_kernels.csv, profile_metadata.json,
/// gsm8k.json, gsm8k_metadata.json, perq.jsonl, and mem_watchdog.log beside the legs. Legs come in
/// the order they ran. The number of requests is the largest that divides every call count; where
/// the attention kernels' counts do not agree with the steps, these stay unknown and a note says so.
/// Summaries that contradict their own results are noted, and the results are taken.
///   Errors: Error(kNotFound) if there is no leg; Error(kBadFile) naming the file, line and field.
EvidenceFolder import_legacy_3leg(const std::filesystem::path& folder, const LegacyOptions& options = {});

}  // namespace nvllm::bench
