#include "bench/run/self_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/run/fake_server.h"
#include "bench/store/kernel_csv.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kSweep = R"(schema = "nvllm.sweep/v1"
name = "NAME"
claim = "c"
[model]
path = "synthetic:tiny-hybrid"
[legs.a]
[legs.b]
[schedule]
rounds = { profile = 3, gsm8k = 0 }
power = 0.95
[profile]
bursts = [{ requests = 1, max_tokens = 4 }, { requests = 1, max_tokens = 2 }]
[hypotheses]
H1 = { expr = "mean_us(b,matmul) - mean_us(a,matmul) > 0", effect = "3%" }
[[verdict]]
when = "true"
id = "x"
)";

/// Mean times of the only kernel, by boot.
struct Times {
  std::vector<double> a, b;
};

/// A folder as a sweep leaves it, with what it declared.
void write_sweep_folder(const fs::path& folder, const Times& times, const std::string& declared,
                        const std::string& name = "s") {
  std::string sweep = kSweep;
  sweep.replace(sweep.find("NAME"), 4, name);
  test::put_file(folder / "sweep.toml", sweep);
  test::put_file(folder / "sweep.lock.json", R"({"expect_kernels":{"a":{},"b":{}}})");
  test::put_file(folder / "provenance.json", R"({"host":"h"})");
  test::put_file(folder / "analysis/verdict.json",
                 fmt::format(R"({{"hypotheses":[{{"state":"{}"}}]}})", declared));
  for (const auto& [leg, means] : {std::pair("a", times.a), std::pair("b", times.b)}) {
    for (std::size_t i = 0; i < means.size(); ++i) {
      KernelRow row;
      row.name = row.short_name = "matmul";
      row.n_calls = 100;
      row.mean_us = row.p50_us = row.p95_us = means[i];
      row.total_ms = means[i] / 10;
      KernelTable table;
      table.leg = leg;
      table.rows = {row};
      const fs::path unit = folder / fmt::format("{}/rounds/{:02}/profile", leg, i + 1);
      test::put_file(unit / "kernels.csv", format_kernels(table, nullptr));
      test::put_file(unit / "profile_metadata.json",
                     R"({"workload":{"requests":10,"max_tokens":11}})");
    }
  }
  test::put_file(folder / "MANIFEST.sha256", "");
}

const Times kAlike = {{100, 101, 102}, {101, 100, 102}},
            kSlower = {{100, 101, 102}, {104, 105, 107}};

std::string error_of(const fs::path& parent) {
  try {
    read_recorded_sweeps(parent);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class SelfTestFolders : public ::testing::Test {
 protected:
  nvllm::testing::TempFolder temp_;
  const fs::path root_ = temp_.path();
};

TEST_F(SelfTestFolders, CountFinishedSweepsAndWhatTheyConfirmed) {
  write_sweep_folder(root_ / "1", kAlike, "INCONCLUSIVE");
  write_sweep_folder(root_ / "2", kSlower, "CONFIRMED");
  write_sweep_folder(root_ / "3", kSlower, "CONFIRMED");
  fs::remove(root_ / "3/MANIFEST.sha256");
  const RecordedSweeps all = read_recorded_sweeps(root_);
  EXPECT_EQ(all.finished, 2);
  EXPECT_EQ(all.unfinished, 1);
  EXPECT_EQ(all.confirmed, 1);
  EXPECT_EQ(all.rounds, 3);
  EXPECT_EQ(all.pools.at("a").size(), 6u);
}

TEST_F(SelfTestFolders, RefuseADeclarationThatTheDataDoNotBear) {
  write_sweep_folder(root_ / "1", kAlike, "CONFIRMED");
  EXPECT_THAT(error_of(root_), HasSubstr("declared CONFIRMED, but its data say INCONCLUSIVE"));
}

TEST_F(SelfTestFolders, RefuseOtherSweepFilesOtherHostsAndNone) {
  EXPECT_THAT(error_of(root_), HasSubstr("no finished sweep"));
  write_sweep_folder(root_ / "1", kAlike, "INCONCLUSIVE");
  write_sweep_folder(root_ / "2", kAlike, "INCONCLUSIVE", "other");
  EXPECT_THAT(error_of(root_), HasSubstr("another sweep file"));
  write_sweep_folder(root_ / "2", kAlike, "INCONCLUSIVE");
  EXPECT_EQ(error_of(root_), "");
  test::put_file(root_ / "2/provenance.json", R"({"host":"elsewhere"})");
  EXPECT_THAT(error_of(root_), HasSubstr("another host"));
}

TEST_F(SelfTestFolders, GiveBothRatesAndATableOfThem) {
  write_sweep_folder(root_ / "aa/1", kAlike, "INCONCLUSIVE");
  write_sweep_folder(root_ / "planted/1", kSlower, "CONFIRMED");
  write_sweep_folder(root_ / "planted/2", kSlower, "CONFIRMED");
  SelfTest test;
  test.same = read_recorded_sweeps(root_ / "aa");
  test.planted = read_recorded_sweeps(root_ / "planted");
  test.noise.boot_sigma = 0.01;
  test.draws = 100;
  const Json json = self_test_json(test);
  const Json &alarms = json.at("false_alarms"), &found = json.at("detection");
  EXPECT_EQ(alarms.at("recorded").at("confirmed"), 0);
  EXPECT_EQ(alarms.at("drawn_by_boot").at("of"), 100);
  EXPECT_EQ(alarms.at("drawn_by_round").at("of"), 100);
  EXPECT_EQ(alarms.at("boots").at("a"), 3);
  EXPECT_EQ(found.at("recorded").at("confirmed"), 2);
  // Two of two: the exact interval begins at 0.025^(1/2).
  EXPECT_NEAR(found.at("recorded").at("interval").at(0).get<double>(), 0.158114, 1e-6);
  EXPECT_EQ(found.at("boots").at("b"), 6);
  const std::int64_t rounds = *plan_first_hypothesis(test.planted.sweep, test.noise).rounds;
  EXPECT_EQ(found.at("drawn_by_round").at("rounds"), rounds);
  EXPECT_THAT(self_test_table(json),
              HasSubstr("| false alarms, sweeps run | 3 | 0 of 1 | 0.0 % |"));
  EXPECT_THAT(
      self_test_table(json),
      HasSubstr("| planted 3.0 % found, sweeps run | 3 | 2 of 2 | 100.0 % | 15.8 % to 100.0 % | "
                "planned 95.0 % |"));
}

TEST_F(SelfTestFolders, CannotBePlannedWhereNoRoundsSuffice) {
  write_sweep_folder(root_ / "1", kAlike, "INCONCLUSIVE");
  NoiseFloor noise;
  noise.boot_sigma = 1;
  EXPECT_THROW(plan_first_hypothesis(read_recorded_sweeps(root_).sweep, noise), Error);
}

}  // namespace
}  // namespace nvllm::bench
