#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "bench/profile/collector.h"

namespace nvllm::bench {

/// What a profile cannot know of itself.
struct ProfileContext {
  std::string leg{}, device{}, model{}, version{};
  std::int64_t requests = 0;  ///< that ended while it ran
  double wall_s = 0;          ///< from start to stop, waiting included
  double note_cost_s = 0;     ///< what one announcement costs within a step
};

/// profile_metadata.json: whose profile it is, how many steps and prefills, what was pooled or dropped,
/// and what listening cost.
Json profile_metadata(const Profile& profile, const ProfileContext& context);

/// Makes sure that profiles can be written below `root`, creating it if need be.
///   Errors: Error(kUsage) naming the folder.
void require_profile_root(const std::filesystem::path& root);

/// Writes profile_kernels.csv, kernels.csv, trace.json.gz and profile_metadata.json into a new folder below
/// `root`, named by the next free number ("001"). The folder appears complete or not at all.
///   Errors: Error(kBadFile) naming the path.
std::filesystem::path write_profile(const std::filesystem::path& root, const Profile& profile,
                                    const ProfileContext& context);

/// Seconds one announcement costs a step here, looks at the clock included and adding up not: the median of
/// several bursts into a collector of its own.
///   Cost: about two milliseconds.
double measure_note_cost_s();

}  // namespace nvllm::bench
