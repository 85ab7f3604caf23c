#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/store/journal.h"
#include "bench/store/resume.h"

namespace nvllm::bench {

/// The one door through which a run writes its evidence folder. A folder that has a manifest is
/// closed: it is evidence already, and no run disturbs it.
class EvidenceWriter {
 public:
  /// Opens or creates the folder and its journal, writes its .gitignore, and removes files that a
  /// crash left half written.
  ///   Errors: Error(kUsage) if the folder has a manifest; those of Journal and of writing.
  explicit EvidenceWriter(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  Journal& journal() { return journal_; }

  /// Writes a file below the folder, whole or not at all; missing folders are made.
  ///   Errors: Error(kUsage) for a path that leaves the folder; Error(kBadFile) naming the file.
  void write(const std::string& relative_path, std::string_view content);

  /// What is left of a plan, after a look at every planned unit's folder.
  [[nodiscard]] std::vector<UnitWork> what_is_left(std::span<const PlannedUnit> planned) const;

  /// Begins a unit: moves remains of an earlier attempt to LEG/attempts/NN and writes "started".
  ///   Errors: Error(kBadFile) naming the folder that cannot be moved.
  void begin_unit(const UnitWork& work);

  /// Ends a unit: digests its files, writes its seal, then "sealed".
  void seal_unit(const UnitWork& work, std::span<const std::string> names);

  /// Ends a unit that went wrong; what it wrote stays visible under LEG/attempts/NN.
  void fail_unit(const UnitWork& work, std::string_view reason);

  /// Closes the folder with its manifests.
  ///   Returns: its identity.
  std::string close();

 private:
  void set_aside(const UnitWork& work, std::string_view reason);

  std::filesystem::path folder_;
  Journal journal_;
};

}  // namespace nvllm::bench
