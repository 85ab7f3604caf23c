#pragma once

// Two lists of digests close an evidence folder. MANIFEST.sha256 covers every committed file and the
// second list; MANIFEST.ignored.sha256 covers the raw files that git leaves out. Both can be checked
// with `sha256sum -c` alone.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace nvllm::bench {

inline constexpr const char* kManifestName = "MANIFEST.sha256";
inline constexpr const char* kIgnoredManifestName = "MANIFEST.ignored.sha256";

/// Writes both lists, the second first. From then on the folder is closed.
///   Returns: the folder's identity.
///   Errors: Error(kBadFile) naming the file: a link, a device, a name with a line end or a
///           backslash, a temporary file left over, or one that cannot be read or written;
///           Error(kUsage) if the folder has a manifest already.
std::string write_manifests(const std::filesystem::path& folder);

/// Whether the folder is closed.
bool has_manifest(const std::filesystem::path& folder);

/// The folder's identity: SHA-256 of its MANIFEST.sha256, which covers everything else.
///   Errors: Error(kNotFound) without one.
std::string folder_identity(const std::filesystem::path& folder);

/// What a check found.
struct ManifestReport {
  std::string identity;
  std::int64_t files = 0;               ///< listed and matching
  std::vector<std::string> faults;      ///< "lower8/perq.jsonl: changed ...", sorted; empty: intact
  std::vector<std::string> absent_raw;  ///< raw files that are not here, as after a clone: no fault
};

/// Compares a folder with its lists: files changed, missing, or not listed.
///   Errors: Error(kNotFound) without a manifest, Error(kBadFile) naming the line of a malformed one.
[[nodiscard]] ManifestReport check_manifests(const std::filesystem::path& folder);

}  // namespace nvllm::bench
