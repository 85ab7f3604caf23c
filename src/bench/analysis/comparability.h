#pragma once

// Two folders can only be compared where what is not under test is the same. The first field that
// differs is named; nothing is averaged over.

#include <string>
#include <vector>

#include "bench/records/evidence.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// A field that both folders have, with other values.
struct FieldDifference {
  std::string field;  ///< "lower8/profile/env.FUSE"
  std::string baseline, candidate;
};

/// Whether times may be compared across the folders.
enum class SameHost { kYes, kNo, kUnknown };

struct Comparability {
  std::vector<FieldDifference> blocking;  ///< not empty: NOT_COMPARABLE
  std::vector<FieldDifference> changed;   ///< may differ: what the comparison is about
  SameHost same_host = SameHost::kUnknown;
  std::string host_note;
};

/// Holds the metadata, workloads and questions of both folders against each other, leg by leg.
/// Call counts, answers and token hashes compare across hosts; times do not.
Comparability check_comparability(const Sweep& sweep, const EvidenceFolder& baseline, const EvidenceFolder& candidate);

Json to_json(const Comparability& comparability);

}  // namespace nvllm::bench
