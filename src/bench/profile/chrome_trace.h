#pragma once

#include <string>

#include "bench/profile/collector.h"

namespace nvllm::bench {

/// The last steps, kernels and host work of a profile as a gzip file of Chrome's trace format, which
/// Perfetto opens: complete events, one row each for steps, kernels and host work.
///   Units: ts and dur in microseconds.
std::string chrome_trace_gz(const Profile& profile, const std::string& process_name);

}  // namespace nvllm::bench
