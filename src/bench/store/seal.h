#pragma once

// sealed.json says that a unit is finished: which configuration it belongs to and which bytes it
// left. An empty marker file would survive a change of configuration; a seal does not.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/records/evidence.h"

namespace nvllm::bench {

inline constexpr const char* kSealName = "sealed.json";

/// One file under a seal.
struct SealedFile {
  std::string name;  ///< relative to the unit's folder
  std::int64_t bytes = 0;
  std::string sha256;
  bool in_git = true;
};

/// The record of a finished unit.
struct Seal {
  Unit unit;
  std::string unit_hash;  ///< of everything that decides the unit's result
  std::string state;      ///< "SEALED", "FAILED", "ABORTED"
  std::int64_t attempt = 1;
  std::int64_t exit = 0;
  std::vector<SealedFile> files;
};

/// Digests the named files of `unit_folder` and writes its sealed.json as the last act.
///   Errors: those of digest_file and write_file_atomically.
void write_seal(const std::filesystem::path& unit_folder, Seal seal, std::span<const std::string> names);

/// Reads sealed.json.
///   Errors: Error(kNotFound) without one, Error(kBadFile) naming the field.
Seal read_seal(const std::filesystem::path& unit_folder);

/// Whether raw files that git leaves out may be absent, as after a clone or a prune.
enum class RawFiles { kMustBePresent, kMayBeAbsent };

/// Whether a unit's folder can be taken as done.
struct SealCheck {
  enum class Outcome { kValid, kAbsent, kInvalid } outcome = Outcome::kAbsent;
  std::string reason;  ///< why not
  std::int64_t attempt = 0;
  std::string state;
};

/// Valid only if the seal names this unit and this hash, says SEALED, and every file's size and
/// digest match. A damaged seal is invalid, not an error: the unit is then run again.
[[nodiscard]] SealCheck check_seal(const std::filesystem::path& unit_folder, const Unit& unit,
                                   std::string_view unit_hash, RawFiles raw);

}  // namespace nvllm::bench
