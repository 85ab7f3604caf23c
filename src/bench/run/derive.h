#pragma once

// Everything in an evidence folder that follows from its sealed units: pooled tables, the
// comparison, the reports. A sweep writes it and `verify` computes it again, from committed files
// alone; both have to get the same bytes.

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/json.h"
#include "bench/records/evidence.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// What was derived.
struct Derivation {
  std::map<std::string, std::string> files;  ///< by path in the folder
  Json analysis;
  EvidenceFolder candidate;
  std::optional<EvidenceFolder> baseline;  ///< absent: there is none, or none was found
  std::string baseline_note;               ///< one line for people: which, or why none
  int exit = 0;                            ///< of section 4.1: 0, 1, 3 or 4
};

/// Where the sweep's baseline lies, and whether it is there.
struct BaselinePlace {
  std::filesystem::path folder;  ///< empty: none
  std::string note;
};

/// What a folder keeps of its baseline: path as the sweep names it, identity, note.
Json baseline_record(const BaselinePlace& place);

/// The baseline of that record, if it is still what it was.
///   Returns: nothing where it is gone or has changed: then nothing can be derived again.
std::optional<BaselinePlace> recorded_baseline(const Json& record);

/// Looks for the sweep's baseline; a folder is no baseline of itself.
BaselinePlace find_baseline(const Sweep& sweep, const std::filesystem::path& candidate);

/// The sweep that a folder was measured by: its sweep.toml, with the calls of its sweep.lock.json.
///   Errors: Error(kNotFound), Error(kBadFile), Error(kUsage) as the readers.
Sweep sweep_of_folder(const std::filesystem::path& folder);

/// Derives everything. Only committed files are read.
///   Errors: those of the readers; Error(kBadFile) naming the file that is missing.
Derivation derive(const std::filesystem::path& folder, const BaselinePlace& baseline);

}  // namespace nvllm::bench
