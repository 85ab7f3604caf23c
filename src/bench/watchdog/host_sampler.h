#pragma once

#include <filesystem>
#include <optional>

#include "bench/watchdog/watch_rules.h"

namespace nvllm::bench {

/// Where a sampler looks.
struct SamplerOptions {
  std::filesystem::path proc_root = "/proc";
  std::filesystem::path disk{};       ///< free space is that of the file system this lies on; "" for none
  std::optional<std::int64_t> pid{};  ///< whose resident memory is told
};

/// Reads meminfo, pressure/memory, vmstat and PID/statm below the root, and the free space of the disk.
/// What is missing or unreadable is absent from the sample; nothing is thrown. Silence and the GPU's
/// fields are for the caller to fill in.
HostSample sample_host(const SamplerOptions& options, SteadyTime now);

}  // namespace nvllm::bench
