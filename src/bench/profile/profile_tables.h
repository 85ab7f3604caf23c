#pragma once

#include <string>

#include "bench/profile/collector.h"

namespace nvllm::bench {

/// Kernels of all layers, shapes and phases by operation, most expensive first; host work left out.
std::vector<KernelStats> by_operation(const Profile& profile);

/// profile_kernels.csv: config_id,kernel_symbol,n_calls,mean_us,p50_us,p95_us,total_ms and one line per
/// operation, most expensive first, three decimals.
std::string profile_kernels_csv(const Profile& profile, const std::string& config_id);

/// kernels.csv: one line per operation, layer, shape and phase, host work too, most expensive first.
///   Units: as the columns say; log_mean is the mean natural logarithm of microseconds, share_pct of the
///          sum of all lines, shape is rows x outputs x inputs with rows rounded up to a power of two.
std::string kernels_csv(const Profile& profile, const std::string& config_id);

/// "8x2560x9216"; extents of 0 are left out.
std::string shape_text(const LaunchShape& shape);

}  // namespace nvllm::bench
