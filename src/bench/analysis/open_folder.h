#pragma once

#include <filesystem>
#include <string>

#include "bench/records/evidence.h"

namespace nvllm::bench {

/// Reads an evidence folder for comparison: our own layout (LEG/rounds/NN/...), or the published
/// three-leg one. Nothing is written.
///   Errors: those of the readers; Error(kNotFound) where neither layout is found.
EvidenceFolder open_evidence(const std::filesystem::path& folder);

/// A digest over every file below a folder: relative name, size and content.
///   Cost:   reads everything once.
///   Errors: Error(kBadFile) for links and devices.
std::string folder_state(const std::filesystem::path& folder);

}  // namespace nvllm::bench
