#include "bench/profile/profile_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/error.h"
#include "base/files.h"
#include "bench/profile/chrome_trace.h"
#include "bench/profile/profile_tables.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

std::int64_t calls_of_kind(const Profile& profile, WorkKind kind) {
  std::int64_t count = 0;
  for (const KernelStats& kernel : profile.kernels) count += kernel.identity.kind == kind ? kernel.call_count : 0;
  return count;
}

Json totals_json(const StepTotals& totals) {
  Json json;
  json["steps"] = totals.count;
  json["rows"] = totals.rows;
  json["wall_s"] = totals.wall_s;
  json["kernel_s"] = totals.kernel_s;
  json["host_s"] = totals.host_s;
  return json;
}

Json profiler_json(const Profile& profile, const ProfileContext& context) {
  const std::int64_t notes = calls_of_kind(profile, WorkKind::kKernel) + calls_of_kind(profile, WorkKind::kHost);
  const double busy_s = profile.totals(ProfilePhase::kDecode).wall_s + profile.totals(ProfilePhase::kPrefill).wall_s;
  Json json;
  json["method"] = to_string(profile.clock);
  json["note_cost_ns"] = context.note_cost_s * 1e9;
  json["adding_s"] = profile.adding_s;
  // The collector's own time over that of the steps; what it does to the kernels' caches is not in it.
  const double own_s = static_cast<double>(notes) * context.note_cost_s + profile.adding_s;
  json["overhead_pct"] = busy_s > 0 ? 100 * own_s / busy_s : 0.0;
  json["identities"] = profile.kernels.size();
  json["pooled_calls"] = profile.pooled_calls;
  json["dropped_events"] = profile.dropped_events;
  json["dropped_steps"] = profile.dropped_steps;
  json["lost_kernels"] = profile.lost_kernels;
  return json;
}

/// The largest number that names something below `root`, or 0.
std::int64_t last_number(const fs::path& root) {
  std::int64_t last = 0;
  for (const auto& entry : fs::directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size()) last = std::max(last, number);
  }
  return last;
}

void write_files(const fs::path& folder, const Profile& profile, const ProfileContext& context) {
  write_file_atomically(folder / "profile_kernels.csv", profile_kernels_csv(profile, context.leg));
  write_file_atomically(folder / "kernels.csv", kernels_csv(profile, context.leg));
  write_file_atomically(folder / "trace.json.gz", chrome_trace_gz(profile, "nvllm " + context.leg));
  write_file_atomically(folder / "profile_metadata.json", dump_json(profile_metadata(profile, context)) + "\n");
}

}  // namespace

Json profile_metadata(const Profile& profile, const ProfileContext& context) {
  Json json;
  json["schema"] = "nvllm.profile_metadata.1";
  json["tool"] = Json{{"name", "nvllm"}, {"version", context.version}};
  json["leg"] = context.leg;
  json["model"] = context.model;
  json["device"] = context.device;
  json["decode_steps"] = profile.totals(ProfilePhase::kDecode).count;
  json["prefill_steps"] = profile.totals(ProfilePhase::kPrefill).count;
  json["prefills"] = profile.prefills;
  json["requests"] = context.requests;
  json["wall_s"] = context.wall_s;
  json["kernel_calls"] = calls_of_kind(profile, WorkKind::kKernel);
  json["phases"] = Json{{"decode", totals_json(profile.totals(ProfilePhase::kDecode))},
                        {"prefill", totals_json(profile.totals(ProfilePhase::kPrefill))}};
  json["profiler"] = profiler_json(profile, context);
  return json;
}

void require_profile_root(const fs::path& root) {
  std::error_code error;
  fs::create_directories(root, error);
  if (error || !fs::is_directory(root) || ::access(root.c_str(), W_OK | X_OK) != 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--profile-dir {}: not a folder that can be written to; give another", root.string()));
  }
}

fs::path write_profile(const fs::path& root, const Profile& profile, const ProfileContext& context) {
  const fs::path temporary = root / fmt::format(".unfinished-{}", ::getpid());
  try {
    fs::remove_all(temporary);
    fs::create_directory(temporary);
    write_files(temporary, profile, context);
    std::int64_t number = last_number(root) + 1;
    // Another server may take a number in between: a folder with files in it is never replaced.
    while (true) {
      const fs::path folder = root / fmt::format("{:03}", number);
      if (std::rename(temporary.c_str(), folder.c_str()) == 0) return folder;
      if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) {
        throw fs::filesystem_error("cannot be renamed into place", folder,
                                   std::error_code(errno, std::generic_category()));
      }
      ++number;
    }
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw Error(ErrorKind::kBadFile,
                fmt::format("a profile below {} cannot be written: {}", root.string(), error.what()));
  }
}

double measure_note_cost_s() {
  constexpr int kBursts = 5;
  constexpr std::int64_t kNotes = 2000;
  std::vector<double> costs;
  for (int burst = 0; burst < kBursts; ++burst) {
    Collector collector({.identity_max = 64, .event_max = 1024, .step_max = 16, .pending_max = kNotes});
    const SteadyTime begin = SystemClock().now();
    for (std::int64_t i = 0; i < kNotes; ++i) {
      const SteadyTime start = SystemClock().now();
      const double seconds = seconds_between(start, SystemClock().now());
      collector.on_launch({.operation = "a kernel of some name",
                           .layer = i % 40,
                           .shape = {1, 2, 3},
                           .begin = start,
                           .seconds = seconds});
    }
    costs.push_back(seconds_between(begin, SystemClock().now()) / static_cast<double>(kNotes));
  }
  std::ranges::sort(costs);
  return costs[costs.size() / 2];
}

}  // namespace nvllm::bench
