#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace nvllm::bench {

/// How deep a folder is looked into.
enum class VerifyLevel {
  kHashes = 0,  ///< every file against the manifests
  kDerive = 1,  ///< seals, journal and registration; every derived file computed again and compared
                ///< byte by byte
  kTraces = 2,  ///< kernel counts and times out of the raw traces that are here
};

/// What was found.
struct VerifyReport {
  std::string identity;
  std::vector<std::string> passed;     ///< what was checked, in words
  std::vector<std::string> faults;     ///< what does not hold; empty: nothing found
  std::vector<std::string> unchecked;  ///< what could not be looked at, and why

  /// 0, 5 where something could not be checked, 8 where something does not hold.
  int exit() const;
};

/// Checks an evidence folder that a sweep closed. Reads only.
///   Errors: Error(kNotFound) without a manifest.
VerifyReport verify_folder(const std::filesystem::path& folder, VerifyLevel level);

/// The same for people.
std::string verify_text(const VerifyReport& report);

}  // namespace nvllm::bench
