#include "bench/profile/profile_folder.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

using nvllm::testing::TempFolder;

std::set<std::string> names_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

TEST(ProfileFolder, IsNumberedAndCompleteAndLeavesNothingElse) {
  const TempFolder root;
  const Profile profile;
  EXPECT_EQ(write_profile(root.path(), profile, {.leg = "lower8"}).filename(), "001");
  std::filesystem::create_directory(root / "041");
  std::ofstream(root / "notes.txt") << "mine";
  const std::filesystem::path folder = write_profile(root.path(), profile, {.leg = "lower8"});
  EXPECT_EQ(folder.filename(), "042");
  EXPECT_EQ(names_in(folder),
            (std::set<std::string>{"profile_kernels.csv", "kernels.csv", "trace.json.gz", "profile_metadata.json"}));
  EXPECT_EQ(names_in(root.path()), (std::set<std::string>{"001", "041", "042", "notes.txt"}));
}

TEST(ProfileFolder, RefusesARootThatCannotHoldFolders) {
  const TempFolder root;
  std::ofstream(root / "file") << "x";
  EXPECT_THROW(require_profile_root(root / "file"), Error);
  require_profile_root(root / "new/below");
  EXPECT_TRUE(std::filesystem::is_directory(root / "new/below"));
  EXPECT_THROW(write_profile(root / "absent", {}, {}), Error);
}

TEST(ProfileFolder, MetadataSaysWhatWasCountedAndWhatWasLost) {
  Collector collector({.identity_max = 1, .event_max = 2, .step_max = 1});
  for (int step = 0; step < 2; ++step) {
    collector.on_step_begin({.decode_rows = 1});
    collector.on_launch({.operation = "a", .layer = 0, .seconds = 1e-6});
    collector.on_launch({.operation = "a", .layer = 1, .seconds = 1e-6});
    collector.on_step_end({});
  }
  collector.on_step_begin({.prefill_rows = 4, .prefills = 2});
  note_host_work(collector, "sample", {}, SteadyTime{} + std::chrono::microseconds(2));
  collector.on_step_end({});
  const Json json =
      profile_metadata(collector.profile(), {.leg = "x", .requests = 7, .wall_s = 1.5, .note_cost_s = 5e-8});
  EXPECT_EQ(json["leg"], "x");
  EXPECT_EQ(json["decode_steps"], 2);
  EXPECT_EQ(json["prefill_steps"], 1);
  EXPECT_EQ(json["prefills"], 2);
  EXPECT_EQ(json["requests"], 7);
  EXPECT_EQ(json["kernel_calls"], 4);
  EXPECT_EQ(json["wall_s"], 1.5);
  EXPECT_EQ(json["profiler"]["pooled_calls"], 3);
  EXPECT_EQ(json["profiler"]["dropped_events"], 3);
  EXPECT_EQ(json["profiler"]["dropped_steps"], 2);
  EXPECT_NEAR(json["phases"]["prefill"]["host_s"].get<double>(), 2e-6, 1e-12);
}

TEST(ProfileFolder, ANoteCostsMoreThanNothingAndLessThanTenMicroseconds) {
  const double cost_s = measure_note_cost_s();
  EXPECT_GT(cost_s, 0);
  EXPECT_LT(cost_s, 1e-5);
}

}  // namespace
}  // namespace nvllm::bench
