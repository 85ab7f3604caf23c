#pragma once

#include "bench/records/evidence.h"

namespace nvllm::bench {

/// Where a folder's figures come from: its name, legs, metadata, provenance, and the digest of every
/// file in it. No path of this machine.
Json folder_json(const EvidenceFolder& folder);

}  // namespace nvllm::bench
