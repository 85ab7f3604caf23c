#include "bench/store/evidence_writer.h"

#include <fmt/format.h>

#include <system_error>

#include "base/error.h"
#include "base/files.h"
#include "bench/store/git_ignore.h"
#include "bench/store/manifest.h"
#include "bench/store/relative_path.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

void refuse_closed(const fs::path& folder) {
  if (!has_manifest(folder)) return;
  throw Error(ErrorKind::kUsage, fmt::format("{}: closed by its {}; a run never changes an older folder, name a new "
                                             "one",
                                             folder.string(), kManifestName));
}

/// Checks before the journal is opened: opening it would already change a closed folder.
fs::path opened(const fs::path& folder) {
  refuse_closed(folder);
  std::error_code fault;
  fs::create_directories(folder, fault);
  if (fault) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: cannot be made: {}", folder.string(), fault.message()));
  }
  return folder;
}

void remove_half_written(const fs::path& folder) {
  std::vector<fs::path> stray;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().filename().string().find(".tmp-") != std::string::npos) {
      stray.push_back(entry.path());
    }
  }
  for (const fs::path& path : stray) fs::remove(path);
}

}  // namespace

EvidenceWriter::EvidenceWriter(const fs::path& folder) : folder_(opened(folder)), journal_(folder / "journal.jsonl") {
  remove_half_written(folder_);
  write(".gitignore", git_ignore_text());
}

void EvidenceWriter::write(const std::string& relative_path, std::string_view content) {
  if (!stays_below(relative_path)) {
    throw Error(ErrorKind::kUsage, fmt::format("'{}' is not a path below the evidence folder", relative_path));
  }
  refuse_closed(folder_);
  const fs::path path = folder_ / relative_path;
  std::error_code fault;
  fs::create_directories(path.parent_path(), fault);
  if (fault) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: its folder cannot be made: {}", path.string(), fault.message()));
  }
  write_file_atomically(path, content);
}

std::vector<UnitWork> EvidenceWriter::what_is_left(std::span<const PlannedUnit> planned) const {
  std::vector<UnitFound> found;
  for (const PlannedUnit& unit : planned) {
    const fs::path place = folder_ / unit_name(unit.unit);
    found.push_back({check_seal(place, unit.unit, unit.unit_hash, RawFiles::kMustBePresent),
                     fs::exists(place) && !fs::is_empty(place)});
  }
  return plan_resume(planned, journal_.events(), found);
}

void EvidenceWriter::set_aside(const UnitWork& work, std::string_view reason) {
  const std::string name = unit_name(work.planned.unit);
  if (!fs::exists(folder_ / name)) return;
  const fs::path attempts = folder_ / work.planned.unit.leg / "attempts";
  std::error_code fault;
  fs::create_directories(attempts, fault);
  std::int64_t number = 1;
  while (fs::exists(attempts / fmt::format("{:02}", number))) ++number;
  const std::string place = fmt::format("{}/attempts/{:02}", work.planned.unit.leg, number);
  if (!fault) fs::rename(folder_ / name, folder_ / place, fault);
  if (fault) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: cannot be moved to {}: {}", (folder_ / name).string(), place, fault.message()));
  }
  Json data;
  data["to"] = place;
  data["reason"] = std::string(reason);
  journal_.append(events::kSetAside, name, data);
}

void EvidenceWriter::begin_unit(const UnitWork& work) {
  if (work.action == UnitWork::Action::kSetAsideAndRun) set_aside(work, work.reason);
  journal_.append(events::kStarted, unit_name(work.planned.unit),
                  Json{{"attempt", work.attempt}, {"unit_hash", work.planned.unit_hash}});
}

void EvidenceWriter::seal_unit(const UnitWork& work, std::span<const std::string> names) {
  Seal seal;
  seal.unit = work.planned.unit;
  seal.unit_hash = work.planned.unit_hash;
  seal.state = "SEALED";
  seal.attempt = work.attempt;
  write_seal(folder_ / unit_name(seal.unit), seal, names);
  journal_.append(events::kSealed, unit_name(seal.unit), Json{{"attempt", work.attempt}});
}

void EvidenceWriter::fail_unit(const UnitWork& work, std::string_view reason) {
  const std::string name = unit_name(work.planned.unit);
  journal_.append(events::kFailed, name, Json{{"attempt", work.attempt}, {"reason", std::string(reason)}});
  set_aside(work, reason);
}

std::string EvidenceWriter::close() {
  journal_.append("closed", "");
  return write_manifests(folder_);
}

}  // namespace nvllm::bench
