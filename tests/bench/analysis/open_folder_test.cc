#include "bench/analysis/open_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/analysis/synthetic_folders.h"
#include "bench/analysis/written_folder.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

TEST(OpenFolder, ReadsBackOurOwnLayout) {
  const test::TempFolder temp;
  write_folder(temp.path(), folder(3));
  const EvidenceFolder read = open_evidence(temp.path());
  ASSERT_EQ(read.legs.size(), 2u);
  const LegEvidence& few = *find_leg(read, "few");
  ASSERT_EQ(few.profiles.size(), 3u);
  EXPECT_EQ(few.profiles[2].round, 3);
  EXPECT_EQ(few.profiles[0].requests, 10);
  EXPECT_EQ(few.profiles[0].decode_steps, 1000);
  EXPECT_EQ(few.questions.size(), 200u);
  EXPECT_EQ(few.profiles[0].rows.size(), 3u);
}

TEST(OpenFolder, AWrittenFolderComparesAsTheOneInMemory) {
  const test::TempFolder temp;
  write_folder(temp.path() / "a", folder(4));
  write_folder(temp.path() / "b", folder(4, {.fused_us = 400, .plain_us = 150, .gemm_us = 55}));
  const Comparison written =
      compare_folders(rules(), open_evidence(temp.path() / "a"), open_evidence(temp.path() / "b"), "nvllm test");
  EXPECT_EQ(written.exit, ComparisonExit::kGateFailed);
  EXPECT_EQ(outcome(written, "some_gemm"), "SLOWER");
  EXPECT_EQ(gate(written, "calls"), "PASS");
  EXPECT_EQ(gate(written, "order"), "PASS");
}

TEST(OpenFolder, RulesRegisteredBeforeAreNotPostHocAndChangedOnesAre) {
  const test::TempFolder temp;
  const Sweep sweep = rules();
  write_folder(temp.path(), folder(4));
  EXPECT_TRUE(check_registration(sweep, open_evidence(temp.path())).post_hoc);
  put_file(temp.path() / "prereg.json", readable_json({{"rules_hash", sweep.rules_hash}}));
  EXPECT_FALSE(check_registration(sweep, open_evidence(temp.path())).post_hoc);
  const Registration changed = check_registration(
      rules("[noise]\nkind = \"borrowed\"\nboot_sigma = \"9%\"\nsource = \"s\""), open_evidence(temp.path()));
  EXPECT_TRUE(changed.post_hoc);
  EXPECT_THAT(changed.reason, testing::HasSubstr("the rules registered were others"));
}

TEST(OpenFolder, ItsStateSeesEveryByteAndName) {
  const test::TempFolder temp;
  put_file(temp.path() / "a/x", "1");
  const std::string before = folder_state(temp.path());
  EXPECT_EQ(folder_state(temp.path()), before);
  put_file(temp.path() / "a/x", "2");
  const std::string changed = folder_state(temp.path());
  EXPECT_NE(changed, before);
  std::filesystem::rename(temp.path() / "a/x", temp.path() / "a/y");
  EXPECT_NE(folder_state(temp.path()), changed);
}

TEST(OpenFolder, ComplainsAboutFoldersThatAreNoEvidence) {
  const test::TempFolder temp;
  EXPECT_THROW(open_evidence(temp.path() / "none"), Error);
  EXPECT_THROW(open_evidence(temp.path()), Error);
}

}  // namespace
}  // namespace nvllm::bench
