#pragma once

#include <string>
#include <vector>

#include "bench/records/evidence.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// What a folder shows of itself that weakens what follows from it: legs treated unequally, a build
/// scored that is not the one timed, provenance that names too little. One sentence each.
std::vector<std::string> find_deviations(const Sweep& sweep, const EvidenceFolder& folder);

}  // namespace nvllm::bench
