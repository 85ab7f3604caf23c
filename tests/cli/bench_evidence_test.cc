#include "cli/bench_evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "../bench/analysis/synthetic_folders.h"
#include "../bench/analysis/written_folder.h"
#include "../bench/store/temp_folder.h"
#include "base/error.h"
#include "bench/analysis/open_folder.h"
#include "bench/store/manifest.h"

namespace nvllm::cli {
namespace {

using bench::folder;
using bench::write_folder;
using testing::HasSubstr;

constexpr const char* kRules = R"toml(schema = "nvllm.sweep/v1"
name = "s"
claim = "c"
[legs.few]
[legs.many]
[gates]
kernels = { kind = "equivalent", margin = "2%", required = true }
[hypotheses]
H1 = { expr = "ms_per_token(many) - ms_per_token(few) > 0" }
[[verdict]]
when = "H1 == CONFIRMED"
id = "many-is-slower"
[[verdict]]
when = "true"
id = "open"
)toml";

/// Folders a and b, rules.toml, and the command line that compares them into out.
class BenchCompare : public testing::Test {
 protected:
  BenchCompare() {
    write_folder(a_, folder(4));
    write_folder(b_, folder(4));
    bench::put_file(temp_.path() / "rules.toml", kRules);
  }

  int run(const std::vector<std::string>& words) {
    CLI::App app;
    const auto verbs = add_evidence_verbs(app);
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    app.parse(reversed);
    testing::internal::CaptureStdout();
    int code = -1;
    try {
      code = verbs().value_or(-1);
    } catch (...) {
      testing::internal::GetCapturedStdout();
      throw;
    }
    printed_ = testing::internal::GetCapturedStdout();
    return code;
  }

  int compare(const std::string& out = "out") {
    return run({"compare", a_.string(), b_.string(), "--rules", (temp_.path() / "rules.toml").string(), "--out",
                (temp_.path() / out).string()});
  }

  const bench::test::TempFolder temp_;
  const std::filesystem::path a_ = temp_.path() / "a", b_ = temp_.path() / "b";
  std::string printed_;
};

TEST_F(BenchCompare, WritesEveryFileAndLeavesBothFoldersAsTheyWere) {
  const std::string before = bench::folder_state(a_) + bench::folder_state(b_);
  EXPECT_EQ(compare(), 0);
  EXPECT_THAT(printed_, HasSubstr("verdict: many-is-slower (CONFIRMED), post-hoc"));
  EXPECT_THAT(printed_, HasSubstr("baseline untouched: yes"));
  EXPECT_EQ(bench::folder_state(a_) + bench::folder_state(b_), before);
  for (const char* name : {"analysis/comparability.json", "analysis/kernels_ab.json", "analysis/kernels_ab.csv",
                           "analysis/aggregate.json", "analysis/accuracy.json", "analysis/order.json",
                           "analysis/gates.json", "analysis/verdict.json", "summary.md", "report.html"}) {
    EXPECT_TRUE(std::filesystem::exists(temp_.path() / "out" / name)) << name;
  }
}

TEST_F(BenchCompare, TwiceGivesTheSameBytes) {
  EXPECT_EQ(compare("one"), 0);
  EXPECT_EQ(compare("two"), 0);
  EXPECT_EQ(bench::folder_state(temp_.path() / "one"), bench::folder_state(temp_.path() / "two"));
}

TEST_F(BenchCompare, ExitsWithOneForAFailedGateThreeForAnOpenOneAndFourForFoldersThatDoNotCompare) {
  write_folder(b_, folder(4, {.fused_us = 400, .plain_us = 150, .gemm_us = 60}));
  EXPECT_EQ(compare(), 1);
  std::filesystem::remove_all(b_);
  write_folder(b_, folder(1));
  EXPECT_EQ(compare("three"), 3);
  bench::EvidenceFolder other = folder(4);
  other.legs[0].profile_metadata["model"] = "other";
  write_folder(b_, other);
  EXPECT_EQ(compare("four"), 4);
  EXPECT_THAT(printed_, HasSubstr("NOT_COMPARABLE"));
  EXPECT_THAT(printed_, HasSubstr("few/profile/model"));
}

TEST_F(BenchCompare, AnEarlierRefusalLeavesNoFiguresOfThatTimeBehind) {
  EXPECT_EQ(compare(), 0);
  bench::EvidenceFolder other = folder(4);
  other.legs[0].profile_metadata["model"] = "other";
  write_folder(b_, other);
  EXPECT_EQ(compare(), 4);
  EXPECT_FALSE(std::filesystem::exists(temp_.path() / "out/analysis/gates.json"));
}

TEST_F(BenchCompare, AClosedFolderThatWasChangedIsNoEvidence) {
  bench::write_manifests(a_);
  EXPECT_EQ(compare(), 0);
  EXPECT_THAT(printed_, HasSubstr("baseline untouched: yes"));
  bench::put_file(a_ / "few/profile_metadata.json", "{}");
  EXPECT_EQ(compare(), 8);
}

TEST_F(BenchCompare, NeverWritesIntoAnEvidenceFolder) {
  for (const char* place : {"a", "a/few/analysis", "b/../a/x"}) EXPECT_THROW(compare(place), Error) << place;
}

TEST_F(BenchCompare, ReportPrintsTheComparisonAgain) {
  compare();
  EXPECT_EQ(run({"report", (temp_.path() / "out").string()}), 0);
  EXPECT_EQ(printed_, bench::test::text_of(temp_.path() / "out/summary.md"));
  EXPECT_EQ(run({"report", (temp_.path() / "out").string(), "--format", "pr"}), 0);
  EXPECT_THAT(printed_, HasSubstr("## Test plan"));
}

TEST_F(BenchCompare, SchemaChecksASweepFileAndPrintsItsHashes) {
  EXPECT_EQ(run({"schema", (temp_.path() / "rules.toml").string()}), 0);
  EXPECT_THAT(printed_, HasSubstr(bench::parse_sweep(kRules, "rules.toml").rules_hash));
  EXPECT_EQ(run({"schema"}), 0);
  EXPECT_THAT(printed_, HasSubstr("deadline_s"));
  bench::put_file(temp_.path() / "wrong.toml", std::string("x = 1\n") + kRules);
  EXPECT_THROW(run({"schema", (temp_.path() / "wrong.toml").string()}), Error);
}

}  // namespace
}  // namespace nvllm::cli
