#pragma once

#include <string>
#include <vector>

#include "bench/sweep/section.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// Reads one entry of [gates].
///   Errors: Error(kUsage) with file and line; also for a leg that the sweep does not have.
Gate read_gate(const std::string& name, Section section, const std::vector<SweepLeg>& legs);

}  // namespace nvllm::bench
