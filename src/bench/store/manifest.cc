#include "bench/store/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "base/hashing.h"
#include "bench/store/file_digest.h"
#include "bench/store/git_ignore.h"
#include "bench/store/relative_path.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kManifestBytesMax = 64ll << 20;

/// Made from the manifest, so it cannot list them.
bool comes_after(std::string_view relative) {
  return relative == kManifestName || relative == "MANIFEST.sig" || relative == "attestation.intoto.jsonl";
}

/// Every regular file below the folder, relative, in the order of its bytes.
std::vector<std::string> files_below(const fs::path& folder) {
  std::vector<std::string> found;
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string relative = entry->path().lexically_relative(folder).generic_string();
    const fs::file_status status = entry->symlink_status();
    if (status.type() == fs::file_type::directory) {
      // A repository inside (or around) the folder is not evidence.
      if (entry->path().filename() == ".git") entry.disable_recursion_pending();
      continue;
    }
    if (status.type() != fs::file_type::regular) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}: not a regular file; evidence holds files only, replace it by "
                                                   "a copy",
                                                   entry->path().string()));
    }
    if (relative.find_first_of("\n\r\\") != std::string::npos) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}: a line end or a backslash in the name, which a list of digests "
                                                   "cannot hold",
                                                   entry->path().string()));
    }
    if (!comes_after(relative)) found.push_back(relative);
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// Digest by relative path, in the order of the paths' bytes.
using DigestList = std::map<std::string, std::string>;

DigestList parse_list(const std::string& text, const fs::path& path) {
  DigestList listed;
  std::int64_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.empty() || line[0] == '#') continue;
    const bool well_formed = line.size() > 66 && line[64] == ' ' && (line[65] == ' ' || line[65] == '*') &&
                             line.find_first_not_of("0123456789abcdef") == 64 &&
                             stays_below(std::string_view(line).substr(66));
    if (!well_formed || !listed.emplace(line.substr(66), line.substr(0, 64)).second) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}:{}: '{}' is not a digest, two spaces and a new path below the "
                                                   "folder",
                                                   path.string(), number, line.substr(0, 120)));
    }
  }
  return listed;
}

DigestList read_list(const fs::path& path) { return parse_list(read_file(path, kManifestBytesMax), path); }

void compare(const fs::path& folder, const DigestList& listed, std::set<std::string>& present,
             std::vector<std::string>& missing, ManifestReport& report) {
  for (const auto& [relative, sha256] : listed) {
    if (present.erase(relative) == 0) {
      missing.push_back(relative);
      continue;
    }
    const FileDigest digest = digest_file(folder / relative);
    if (digest.sha256 == sha256) {
      ++report.files;
    } else {
      report.faults.push_back(fmt::format("{}: changed: sha256 is {}, listed {}", relative, digest.sha256, sha256));
    }
  }
}

}  // namespace

bool has_manifest(const fs::path& folder) { return fs::exists(folder / kManifestName); }

std::string folder_identity(const fs::path& folder) {
  return sha256_hex(std::string_view(read_file(folder / kManifestName, kManifestBytesMax)));
}

std::string write_manifests(const fs::path& folder) {
  if (has_manifest(folder)) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: closed by its {}; a run never changes an older folder, name a new "
                                               "one",
                                               folder.string(), kManifestName));
  }
  DigestList committed;
  std::string ignored = "# raw files that git leaves out; absent after a clone\n";
  for (const std::string& relative : files_below(folder)) {
    if (relative.find(".tmp-") != std::string::npos) {
      throw Error(ErrorKind::kBadFile,
                  fmt::format("{}: a file half written; finish or resume the run first", (folder / relative).string()));
    }
    if (relative == kIgnoredManifestName) continue;
    const FileDigest digest = digest_file(folder / relative);
    if (is_git_ignored(relative)) {
      ignored += fmt::format("# {} bytes\n{}  {}\n", digest.bytes, digest.sha256, relative);
    } else {
      committed[relative] = digest.sha256;
    }
  }
  write_file_atomically(folder / kIgnoredManifestName, ignored);
  committed[kIgnoredManifestName] = sha256_hex(std::string_view(ignored));
  std::string text;
  for (const auto& [relative, sha256] : committed) text += fmt::format("{}  {}\n", sha256, relative);
  write_file_atomically(folder / kManifestName, text);
  return sha256_hex(std::string_view(text));
}

ManifestReport check_manifests(const fs::path& folder) {
  ManifestReport report;
  report.identity = folder_identity(folder);
  const std::vector<std::string> below = files_below(folder);
  std::set<std::string> present(below.begin(), below.end());
  std::vector<std::string> missing;
  compare(folder, read_list(folder / kManifestName), present, missing, report);
  for (const std::string& relative : missing) report.faults.push_back(relative + ": missing");
  if (fs::exists(folder / kIgnoredManifestName)) {
    compare(folder, read_list(folder / kIgnoredManifestName), present, report.absent_raw, report);
  }
  for (const std::string& relative : present) report.faults.push_back(relative + ": not listed");
  std::sort(report.faults.begin(), report.faults.end());
  return report;
}

}  // namespace nvllm::bench
