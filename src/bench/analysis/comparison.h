#pragma once

// The whole comparison of two evidence folders: a pure function of both folders and the sweep file.

#include <filesystem>
#include <map>
#include <string>

#include "bench/records/evidence.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// How a comparison ended; the numbers are the exit codes of `bench compare`.
enum class ComparisonExit : int { kPassed = 0, kGateFailed = 1, kInconclusive = 3, kNotComparable = 4 };

/// What a comparison leaves: file names relative to the output folder, and their texts.
struct Comparison {
  ComparisonExit exit = ComparisonExit::kInconclusive;
  std::map<std::string, std::string> files;  ///< "analysis/verdict.json" -> text
  Json analysis;                             ///< every analysis file by its name without ".json"
};

/// How the candidate's rules were registered before it was measured.
struct Registration {
  bool post_hoc = true;
  std::string reason;
};

/// Reads the candidate's prereg.json and holds its rules hash against the sweep's.
Registration check_registration(const Sweep& sweep, const EvidenceFolder& candidate);

/// Compares. `tool` names and dates the program for the record: "nvllm 0.1.0".
Comparison compare_folders(const Sweep& sweep, const EvidenceFolder& baseline, const EvidenceFolder& candidate,
                           const std::string& tool);

}  // namespace nvllm::bench
