#include "bench/store/evidence_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <map>
#include <set>

#include "base/error.h"
#include "base/hashing.h"
#include "bench/store/manifest.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using Action = UnitWork::Action;

std::vector<PlannedUnit> plan() {
  std::vector<PlannedUnit> units;
  for (std::int64_t round = 1; round <= 3; ++round) {
    for (const char* leg : {"lower8", "all-beta"}) {
      for (const char* phase : {"profile", "gsm8k"}) units.push_back({{leg, phase, round}, "hash"});
    }
  }
  return units;
}

/// What a unit leaves: decided by the unit alone, so that every undisturbed run gives these bytes.
std::string result_of(const Unit& unit, int part) {
  return sha256_hex(unit_name(unit) + std::to_string(part)) + std::string(5000, 'x') + "\n";
}

void run_unit(EvidenceWriter& writer, const UnitWork& work) {
  const std::string name = unit_name(work.planned.unit);
  writer.begin_unit(work);
  writer.journal().append(events::kState, name, Json{{"state", "MEASURING"}});
  std::vector<std::string> files;
  for (int part = 0; part < 3; ++part) {
    files.push_back("part" + std::to_string(part) + ".csv");
    writer.write(name + "/" + files.back(), result_of(work.planned.unit, part));
  }
  writer.seal_unit(work, files);
}

/// Everything that is left; each unit of the plan at most once.
void run_all(const fs::path& folder) {
  EvidenceWriter writer(folder);
  for (const UnitWork& work : writer.what_is_left(plan())) {
    if (work.action != Action::kDone) run_unit(writer, work);
  }
  writer.close();
}

/// Result files by path, with their bytes; without what tells of attempts.
std::map<std::string, std::string> results(const fs::path& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string relative = entry.path().lexically_relative(folder).string();
    if (!entry.is_regular_file() || relative.find("/rounds/") == std::string::npos) continue;
    if (entry.path().filename() != kSealName) found[relative] = test::text_of(entry.path());
  }
  return found;
}

/// Runs `work` in a child process and gives its wait status; kills it after `kill_after_us`, if above 0.
int in_child(const std::function<void()>& work, useconds_t kill_after_us = 0) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      work();
    } catch (const std::exception& error) {
      ::fprintf(stderr, "child: %s\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  if (kill_after_us > 0) {
    ::usleep(kill_after_us);
    ::kill(child, SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(EvidenceWriter, KilledAnywhereItResumesToTheSameBytesWithNothingLostOrTwice) {
  const test::TempFolder folder;
  const auto begin = std::chrono::steady_clock::now();
  run_all(folder.path() / "calm");
  const auto calm = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  const auto wanted = results(folder.path() / "calm");
  ASSERT_EQ(wanted.size(), plan().size() * 3);

  int kills = 0;
  for (std::uint64_t story = 0; story < 12; ++story) {
    const fs::path place = folder.path() / ("killed" + std::to_string(story));
    bool finished = false;
    for (std::uint64_t attempt = 0; !finished; ++attempt) {
      ASSERT_LT(attempt, 400u) << "makes no progress";
      // From before the first event to a quarter of the whole run; after 30 deaths it is left alone.
      const std::uint64_t quarter = static_cast<std::uint64_t>(calm.count()) / 4 + 1;
      const auto delay = attempt < 30 ? static_cast<useconds_t>(1 + random_bits(story, attempt) % quarter) : 0u;
      const int status = in_child([&] { run_all(place); }, delay);
      finished = WIFEXITED(status);
      if (finished) {
        // Killed between the manifest and the exit, the next attempt finds the folder closed.
        ASSERT_TRUE(WEXITSTATUS(status) == 0 || has_manifest(place));
      } else {
        ++kills;
      }
    }
    EXPECT_EQ(results(place), wanted) << "story " << story;
    EXPECT_THAT(check_manifests(place).faults, ElementsAre());

    std::map<std::string, int> started;
    std::set<std::pair<std::string, std::int64_t>> numbers;
    for (const JournalEvent& event : read_journal(place / "journal.jsonl").events) {
      if (event.event != events::kStarted) continue;
      ++started[event.unit];
      EXPECT_TRUE(numbers.emplace(event.unit, event.data.at("attempt").get<std::int64_t>()).second)
          << event.unit << " has an attempt twice";
    }
    for (const PlannedUnit& unit : plan()) {
      EXPECT_EQ(check_seal(place / unit_name(unit.unit), unit.unit, "hash", RawFiles::kMustBePresent).attempt,
                started[unit_name(unit.unit)])
          << "the sealed attempt is the last one begun";
    }
  }
  // A quarter of a run at most between two deaths: at least three or four deaths a story.
  EXPECT_GE(kills, 36) << "too few deaths to prove anything";
  RecordProperty("kills", kills);
}

TEST(EvidenceWriter, NeverDisturbsAnOlderFolder) {
  const test::TempFolder folder;
  run_all(folder.path());
  const std::string identity = folder_identity(folder.path());
  EXPECT_THROW(EvidenceWriter again(folder.path()), Error);
  EXPECT_THAT(check_manifests(folder.path()).faults, ElementsAre());
  EXPECT_EQ(folder_identity(folder.path()), identity);
}

TEST(EvidenceWriter, WritesNothingMoreOnceClosed) {
  const test::TempFolder folder;
  EvidenceWriter writer(folder.path());
  writer.write("a.txt", "1");
  writer.close();
  EXPECT_THROW(writer.write("b.txt", "2"), Error);
  EXPECT_FALSE(fs::exists(folder.path() / "b.txt"));
}

TEST(EvidenceWriter, RefusesPathsThatLeaveTheFolder) {
  const test::TempFolder folder;
  EvidenceWriter writer(folder.path() / "inner");
  EXPECT_THROW(writer.write("../outside", ""), Error);
  EXPECT_THROW(writer.write("/tmp/x", ""), Error);
  EXPECT_THROW(writer.write("", ""), Error);
  EXPECT_FALSE(fs::exists(folder.path() / "outside"));
}

TEST(EvidenceWriter, RunsAUnitAgainWhenItsConfigurationChanged) {
  const test::TempFolder folder;
  const std::vector<PlannedUnit> before = {{{"lower8", "profile", 1}, "old"}},
                                 after = {{{"lower8", "profile", 1}, "new"}};
  EvidenceWriter writer(folder.path());
  run_unit(writer, writer.what_is_left(before)[0]);
  EXPECT_EQ(writer.what_is_left(before)[0].action, Action::kDone);
  const UnitWork work = writer.what_is_left(after)[0];
  EXPECT_EQ(work.action, Action::kSetAsideAndRun);
  EXPECT_EQ(work.attempt, 2);
  run_unit(writer, work);
  EXPECT_TRUE(fs::exists(folder.path() / "lower8/attempts/01/part0.csv")) << "the old result stays visible";
  EXPECT_EQ(writer.what_is_left(after)[0].action, Action::kDone);
}

TEST(EvidenceWriter, KeepsAFailedAttemptVisible) {
  const test::TempFolder folder;
  const std::vector<PlannedUnit> units = {{{"lower8", "gsm8k", 1}, "h"}};
  EvidenceWriter writer(folder.path());
  const UnitWork work = writer.what_is_left(units)[0];
  writer.begin_unit(work);
  writer.write("lower8/rounds/01/gsm8k/perq.jsonl", "{\"partial\":1}\n");
  writer.fail_unit(work, "server died");
  EXPECT_EQ(test::text_of(folder.path() / "lower8/attempts/01/perq.jsonl"), "{\"partial\":1}\n");
  const UnitWork next = writer.what_is_left(units)[0];
  EXPECT_EQ(next.action, Action::kRun);
  EXPECT_EQ(next.attempt, 2);
  EXPECT_EQ(next.reason, "attempt 1 failed: server died");
}

TEST(EvidenceWriter, RemovesWhatACrashLeftHalfWritten) {
  const test::TempFolder folder;
  folder.put("lower8/perq.jsonl.tmp-4711", "half");
  const EvidenceWriter writer(folder.path());
  EXPECT_FALSE(fs::exists(folder.path() / "lower8/perq.jsonl.tmp-4711"));
}

TEST(EvidenceWriter, NamesTheFileWhenTheDiskIsFullAndLeavesNothingHalfWritten) {
  const test::TempFolder folder;
  const int status = in_child([&] {
    EvidenceWriter writer(folder.path());
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      writer.write("lower8/kernels.csv", std::string(100'000, 'x'));
    } catch (const Error& error) {
      ::_exit(std::string(error.what()).find("lower8/kernels.csv: cannot be written") != std::string::npos ? 42 : 3);
    }
  });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
  EXPECT_TRUE(fs::is_empty(folder.path() / "lower8"));
}

}  // namespace
}  // namespace nvllm::bench
