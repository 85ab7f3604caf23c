#pragma once

// Anchors are kernels whose code did not change, by the word of the sweep file. What they all
// gained or lost is the machine's doing: its clock, its heat, its neighbours.

#include <optional>
#include <string>
#include <vector>

#include "bench/sweep/sweep.h"

namespace nvllm::bench {

struct KernelComparison;
struct LegKernels;

/// The change that the anchors of two sides have in common.
struct CommonDrift {
  double log_ratio = 0;              ///< median of the anchors' log ratios, weighted by their time
  std::vector<std::string> kernels;  ///< short names, most expensive first
};

/// Two legs of one folder.
struct LegPairDrift {
  std::string leg, over;
  CommonDrift drift;
};

/// Patterns of short kernel names under [profile] anchors; a '*' ends a beginning.
std::vector<std::string> anchors_of(const Sweep& sweep);

/// Whether a kernel is one of these.
bool is_anchor(const std::vector<std::string>& anchors, const std::string& short_name);

/// Candidate over baseline, from the anchors that were tested; nothing where there is none.
std::optional<CommonDrift> drift_of(const std::vector<KernelComparison>& rows);

/// Every leg of the candidate over the first one, from the anchors that both ran.
std::vector<LegPairDrift> drift_between_legs(const std::vector<LegKernels>& legs);

/// Above 0.5 % either way a change of some kernel may be the machine's.
bool is_alarming(const CommonDrift& drift);

}  // namespace nvllm::bench
