#pragma once

// How often a decode step and a request launch each kernel, before and now. A law that changed is a
// change of the program, whatever the times say.

#include <map>
#include <string>
#include <vector>

#include "bench/records/call_law.h"
#include "bench/records/evidence.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// One kernel's law over all its shapes and layers.
struct KernelLaw {
  LawProof proof = LawProof::kProven;  ///< the weakest of its rows
  CallLaw law;
  std::int64_t calls = 0;  ///< in the (longer) burst

  bool operator==(const KernelLaw&) const = default;
};

/// By short kernel name.
using LegLaw = std::map<std::string, KernelLaw>;

/// The laws of every boot of a leg that knows its workload. Two bursts of a folder of ours prove
/// the split; one burst only suggests it.
std::vector<LegLaw> laws_of(const EvidenceFolder& folder, const LegEvidence& leg);

/// call_law.json: per leg and kernel both laws, what the sweep foretells, and what changed.
Json call_law_json(const Sweep& sweep, const EvidenceFolder& baseline,
                   const EvidenceFolder& candidate);

}  // namespace nvllm::bench
