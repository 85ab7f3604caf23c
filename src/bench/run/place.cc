#include "bench/run/place.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/error.h"
#include "bench/store/manifest.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

bool holds_something(const fs::path& folder) { return fs::exists(folder) && !fs::is_empty(folder); }

fs::path given_folder(const fs::path& out, RunStart start) {
  if (holds_something(out) && has_manifest(out)) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("{}: closed by its {}; a run never changes an older folder, name a new one",
                    out.string(), kManifestName));
  }
  if (start == RunStart::kNew && holds_something(out)) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("{}: not empty; --resume goes on with it, or name a new folder", out.string()));
  }
  if (start == RunStart::kResume && !fs::exists(out / "journal.jsonl")) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: no journal.jsonl, so there is nothing to resume", out.string()));
  }
  return out;
}

fs::path newest_open(const fs::path& parent) {
  std::vector<std::pair<fs::file_time_type, fs::path>> open;
  if (fs::is_directory(parent)) {
    for (const auto& entry : fs::directory_iterator(parent)) {
      const fs::path journal = entry.path() / "journal.jsonl";
      if (fs::exists(journal) && !has_manifest(entry.path())) {
        open.emplace_back(fs::last_write_time(journal), entry.path());
      }
    }
  }
  if (open.empty()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: no unfinished run below it, so there is nothing to resume",
                            parent.string()));
  }
  return std::max_element(open.begin(), open.end())->second;
}

}  // namespace

fs::path choose_folder(const fs::path& out, const fs::path& root, const std::string& name,
                       const std::string& date, RunStart start) {
  if (!out.empty()) return given_folder(out, start);
  if (start == RunStart::kResume) return newest_open(root / name);
  fs::path folder = root / name / date;
  for (int suffix = 2; fs::exists(folder); ++suffix)
    folder = root / name / fmt::format("{}-{}", date, suffix);
  return folder;
}

std::string utc_date() {
  return fmt::format(
      "{:%Y-%m-%d}",
      fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

}  // namespace nvllm::bench
