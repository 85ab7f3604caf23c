#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "bench/records/kernel_table.h"
#include "bench/records/question.h"

namespace nvllm::bench {

/// The smallest piece of work that is done as a whole or again: a leg, a phase, a server boot.
struct Unit {
  std::string leg;
  std::string phase;  ///< "profile", "gsm8k"
  std::int64_t round = 1;

  bool operator==(const Unit&) const = default;
};

/// A unit's name and its place in the evidence folder: "lower8/rounds/01/profile".
std::string unit_name(const Unit& unit);

/// The unit of that name.
///   Errors: Error(kBadFile) for any other text.
Unit parse_unit_name(std::string_view name);

/// Everything known about one leg.
struct LegEvidence {
  std::string leg;
  std::vector<KernelTable> profiles;      ///< by round
  std::vector<QuestionResult> questions;  ///< by round, then prompt_index
  Json profile_metadata;                  ///< null where absent
  Json eval_metadata;
  Json eval_summary;  ///< gsm8k.json without its results
};

/// Whether each round had a boot of its own. A server that ran already was not restarted: its rounds
/// say nothing about boots.
bool was_restarted(const LegEvidence& leg);

/// One evidence folder in memory.
struct EvidenceFolder {
  std::filesystem::path path;
  std::vector<LegEvidence> legs;  ///< in the order they ran
  Json provenance;
  std::vector<std::string> notes;  ///< what the reader met and others should know
};

/// The leg of that name, or null.
const LegEvidence* find_leg(const EvidenceFolder& folder, std::string_view leg);
/// The leg would be gone before anyone could look at it.
const LegEvidence* find_leg(const EvidenceFolder&& folder, std::string_view leg) = delete;

}  // namespace nvllm::bench
