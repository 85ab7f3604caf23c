#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/import/kernel_tallies.h"
#include "bench/records/kernel_table.h"

namespace nvllm::bench {

/// How an export is read.
struct NsysOptions {
  std::string leg = "";
  TraceKey key = TraceKey::kLaunchShape;
  std::int64_t kinds_max = 8192;  ///< different kernels
};

/// What an nsys export holds.
struct NsysImport {
  KernelTable table;  ///< kernels; requests and steps are not in an export
  std::int64_t kernels = 0;
  std::int64_t kernels_in_graphs = 0;
  std::int64_t malformed = 0;         ///< rows without a name or ending before they begin: not in the table
  std::vector<std::string> findings;  ///< as TraceImport has them
};

/// Reads `nsys export --type sqlite`: the tables CUPTI_ACTIVITY_KIND_KERNEL and StringIds. The file is
/// opened for reading only.
///   Errors: Error(kNotFound) without the file; Error(kBadFile) naming it: no database, a table or a
///           column that is missing.
NsysImport import_nsys_sqlite(const std::filesystem::path& path, const NsysOptions& options = {});

}  // namespace nvllm::bench
