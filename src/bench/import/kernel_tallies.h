#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench/records/duration_tally.h"
#include "bench/records/kernel_table.h"

namespace nvllm::bench {

/// What tells kernels of a trace apart.
enum class TraceKey {
  kLaunchShape,  ///< name, grid, block and shared memory
  kName,         ///< the name alone, as the reference's tables have it
};

/// Kernels met so far, each with its durations. Memory grows with the number of different kernels
/// only.
class KernelTallies {
 public:
  /// Refuses more than `kinds_max` different kernels.
  KernelTallies(std::int64_t kinds_max, std::string what) : kinds_max_(kinds_max), what_(std::move(what)) {}

  /// Counts one call of the kernel with that key, and describes it with `describe` the first time.
  ///   Errors: Error(kBadFile) where there are too many different kernels.
  void add(std::string_view key, double us, const std::function<KernelRow()>& describe);

  /// The kernels met, most expensive first, with their shares.
  KernelTable table(std::string leg) const;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  struct Kind {
    KernelRow row;
    DurationTally tally;
  };

  std::int64_t kinds_max_;
  std::string what_;
  std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>> index_;
  std::vector<Kind> kinds_;
};

}  // namespace nvllm::bench
