#pragma once

// Kernel by kernel, candidate over baseline. Rounds are paired before anything is averaged; a
// kernel whose calls changed is never averaged at all.

#include <optional>
#include <string>
#include <vector>

#include "bench/analysis/anchor_drift.h"
#include "bench/records/evidence.h"
#include "bench/stats/equivalence.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// What one folder says about one kernel, over all rounds.
struct KernelSide {
  std::int64_t calls = 0;
  std::optional<std::int64_t> calls_per_request;  ///< where the requests are known and divide them
  double mean_us = 0;                             ///< total time over calls
  double total_ms = 0;
  double share = 0;  ///< of the leg's time
};

/// One kernel of one leg.
struct KernelComparison {
  std::string id, key, name, short_name;
  std::optional<KernelSide> baseline, candidate;
  bool material = false;
  bool named = false;               ///< by the leg's expect_kernels, with calls above zero
  bool anchor = false;              ///< its code did not change, by the sweep file
  std::optional<Equivalence> test;  ///< absent where counts or noise forbid one
  /// The same samples with their variance shrunk toward the leg's; shown beside `test`, decides nothing.
  std::optional<PairedSummary> moderated;
  std::vector<double> baseline_boots_us, candidate_boots_us;  ///< mean of every boot that ran it
  std::optional<double> q;          ///< Benjamini-Hochberg over the leg; explores, never decides
  std::string outcome;              ///< of section 3.2; "UNTESTED" without any noise
  std::string note;
};

/// Calls per decode step that the sweep foretells.
struct ExpectedCalls {
  std::string kernel;
  std::int64_t wanted = 0;
  std::optional<double> seen;  ///< in the candidate
  bool named = false;
};

/// All kernels of one leg, most expensive first.
struct LegKernels {
  std::string leg;
  double baseline_ms = 0, candidate_ms = 0;
  std::int64_t baseline_rows = 0, candidate_rows = 0, shared = 0, same_count = 0, up = 0, down = 0;
  std::int64_t rows_for_99 = 0;      ///< how many carry 99 % of the candidate's time
  double remainder_baseline_ms = 0;  ///< of kernels below the material share
  double remainder_candidate_ms = 0;
  std::int64_t rounds = 0;  ///< paired
  std::vector<KernelComparison> rows;
  std::vector<ExpectedCalls> expected;
  std::optional<CommonDrift> drift;  ///< of the anchors, candidate over baseline; absent without anchors
};

/// Compares the kernels of every leg that has profiles in both folders.
///   Units:  `margin` as a share.
std::vector<LegKernels> compare_kernels(const Sweep& sweep, const EvidenceFolder& baseline,
                                        const EvidenceFolder& candidate, double margin);

/// Compares the legs that a gate speaks of with its `vs_leg` of the same folder, as if that were
/// their baseline, round by round.
std::vector<LegKernels> compare_with_leg(const Sweep& sweep, const EvidenceFolder& folder,
                                         const Gate& gate);

Json to_json(const std::vector<LegKernels>& legs);

/// The table as CSV, one row per kernel and leg.
std::string format_kernels_ab(const std::vector<LegKernels>& legs);

}  // namespace nvllm::bench
