#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bench/import/byte_source.h"
#include "bench/import/kernel_tallies.h"
#include "bench/records/kernel_table.h"

namespace nvllm::bench {

/// How a trace is read.
struct TraceOptions {
  std::string leg = "";
  TraceKey key = TraceKey::kLaunchShape;
  std::int64_t kinds_max = 8192;            ///< different kernels
  std::int64_t event_bytes_max = 16 << 20;  ///< of one event, and of one key or value beside the events
};

/// How a trace's file ended.
enum class TraceEnd { kComplete, kTruncatedGzip, kTruncatedJson };

/// "complete", "truncated_gzip", "truncated_json".
std::string_view to_string(TraceEnd end);

/// What a trace holds, and what speaks against taking it for the whole truth.
struct TraceImport {
  KernelTable table;  ///< kernels, copies and fills; requests and steps are not in a trace
  TraceEnd end = TraceEnd::kComplete;
  std::string end_detail;

  std::int64_t events = 0;
  std::int64_t kernels = 0, copies = 0, fills = 0;       ///< counted in the table
  std::int64_t kernels_in_graphs = 0;                    ///< of these, with a graph node
  std::int64_t kernels_without_shape = 0;                ///< no grid or block
  std::int64_t malformed = 0;                            ///< device work without name or duration: not in the table
  std::int64_t kernel_launches = 0, graph_launches = 0;  ///< calls of the runtime or the driver
  std::int64_t profiler_steps = 0;                       ///< "ProfilerStep#N"
  std::map<std::string, std::int64_t> other_events;      ///< by category

  double first_us = 0, last_us = 0;  ///< begin of the first, end of the last piece of device work
  std::int64_t json_bytes = 0, file_bytes = 0;

  /// Reasons why records may be missing; empty: none was found. A table with findings must not
  /// decide a gate.
  std::vector<std::string> findings;
};

/// Reads a torch profiler's Chrome trace, plain or gzip, without holding it: memory grows with the
/// number of different kernels.
///   Errors: Error(kNotFound); Error(kBadFile) naming the file and the byte: damaged gzip data, text
///           that is no trace, one event too large, too many different kernels. A file that merely
///           stops early is no error: see `end` and `findings`.
///   Source: the fields that pytorch/kineto writes (output_json.cpp, CuptiActivity.cpp).
TraceImport import_torch_trace(const std::filesystem::path& path, const TraceOptions& options = {});

/// The same from any bytes.
TraceImport read_torch_trace(RawRead raw, const std::string& what, const TraceOptions& options = {});

}  // namespace nvllm::bench
