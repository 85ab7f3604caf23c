#include "cli/bench_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>

#include "../support/temp_folder.h"
#include "base/error.h"
#include "base/files.h"
#include "bench/analysis/open_folder.h"
#include "bench/import/legacy_3leg.h"
#include "bench/store/kernel_csv.h"

namespace nvllm::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BenchImport : public ::testing::Test {
 protected:
  int run(std::vector<std::string> words) {
    CLI::App app;
    const auto verb = add_import_verb(app);
    words.insert(words.begin(), "import");
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    ::testing::internal::CaptureStdout();
    int code = -1;
    try {
      code = verb().value_or(-1);
    } catch (...) {
      ::testing::internal::GetCapturedStdout();
      throw;
    }
    printed_ = ::testing::internal::GetCapturedStdout();
    return code;
  }

  /// Three calls of one kernel; without its end if `cut`.
  fs::path trace(bool cut) {
    const fs::path path = temp_ / (cut ? "cut.pt.trace.json" : "t.pt.trace.json");
    std::ofstream file(path);
    file << R"({"traceEvents":[)";
    for (int i = 0; i < 3; ++i) {
      file << (i > 0 ? "," : "") << R"({"ph":"X","cat":"kernel","name":"gemm","ts":)" << i * 10
           << R"(,"dur":2,"args":{"grid":[1,1,1],"block":[32,1,1],"shared memory":0}})";
    }
    if (!cut) file << "]}";
    return path;
  }

  const nvllm::testing::TempFolder temp_;
  const std::string out_ = (temp_ / "out").string();
  std::string printed_;
};

TEST_F(BenchImport, ATraceBecomesARoundThatCompareReads) {
  EXPECT_EQ(
      run({"torch-trace", trace(false).string(), "--out", out_, "--leg", "old", "--requests", "1", "--tokens", "4"}),
      0);
  EXPECT_THAT(printed_, HasSubstr("1 kernels, 0.006 ms"));
  const bench::EvidenceFolder folder = bench::open_evidence(out_);
  ASSERT_EQ(folder.legs.size(), 1u);
  EXPECT_EQ(folder.legs[0].leg, "old");
  const bench::KernelTable& table = folder.legs[0].profiles.at(0);
  EXPECT_EQ(table.rows.at(0).n_calls, 3);
  EXPECT_EQ(table.requests, 1);
  EXPECT_EQ(table.decode_steps, 3);
  EXPECT_THROW(run({"torch-trace", trace(false).string(), "--out", out_, "--leg", "old"}), Error);
  EXPECT_EQ(run({"torch-trace", trace(false).string(), "--out", out_, "--leg", "old", "--round", "2"}), 0);
  EXPECT_EQ(bench::open_evidence(out_).legs.at(0).profiles.size(), 2u);
}

TEST_F(BenchImport, AnIncompleteTraceIsWrittenAndSaysSo) {
  EXPECT_EQ(run({"torch-trace", trace(true).string(), "--out", out_}), 1);
  EXPECT_THAT(printed_, HasSubstr("incomplete: "));
  const std::string metadata = read_file(temp_ / "out/imported/rounds/01/profile/profile_metadata.json", 1 << 20);
  EXPECT_THAT(metadata, HasSubstr("\"complete\": false"));
}

TEST_F(BenchImport, ALoadFileIsReadAndSummedUp) {
  std::ofstream(temp_ / "v.json") << R"({"model_id":"m","duration":2.0,"completed":4,"total_input_tokens":40,
    "total_output_tokens":80,"request_throughput":2.0,"output_throughput":40.0,"mean_ttft_ms":5.0,"median_ttft_ms":4.0,
    "p99_ttft_ms":9.0})";
  EXPECT_EQ(run({"vllm-bench", (temp_ / "v.json").string(), "--out", out_}), 0);
  EXPECT_THAT(printed_, HasSubstr("4 completed, 0 failed"));
  EXPECT_THAT(printed_, HasSubstr("first token"));
  EXPECT_TRUE(fs::exists(temp_ / "out/load.json"));
}

TEST_F(BenchImport, ThePublishedFolderKeepsItsCountsAndAnswers) {
  const char* set = std::getenv("NVLLM_SHARED");
  // The program lies in build/PRESET of the checkout.
  const fs::path checkout = fs::read_symlink("/proc/self/exe").parent_path() / "../..";
  const fs::path shared = set != nullptr ? fs::path(set) : checkout / "../shared";
  const fs::path published = shared / "data/phaseE-tax/2026-05-15-phaseE-tax-3leg-post-ssm";
  if (!fs::exists(published)) GTEST_SKIP() << published << " is absent; NVLLM_SHARED names the folder of shared data";
  EXPECT_EQ(run({"legacy-3leg", published.string(), "--out", out_}), 0);
  const bench::EvidenceFolder before = bench::import_legacy_3leg(published), after = bench::open_evidence(out_);
  ASSERT_EQ(after.legs.size(), before.legs.size());
  for (const bench::LegEvidence& old : before.legs) {
    const bench::LegEvidence* now = bench::find_leg(after, old.leg);
    ASSERT_NE(now, nullptr) << old.leg;
    ASSERT_EQ(now->questions.size(), old.questions.size());
    for (std::size_t i = 0; i < old.questions.size(); ++i) {
      EXPECT_EQ(now->questions[i].status, old.questions[i].status);
      EXPECT_EQ(now->questions[i].output_sha256, old.questions[i].output_sha256);
    }
    ASSERT_EQ(now->profiles.size(), 1u);
    EXPECT_EQ(now->profiles[0].decode_steps, old.profiles.at(0).decode_steps);
    EXPECT_EQ(now->profiles[0].rows.size(), old.profiles[0].rows.size());
    EXPECT_NEAR(bench::total_ms(now->profiles[0]), bench::total_ms(old.profiles[0]), 1e-3);
  }
}

}  // namespace
}  // namespace nvllm::cli
