#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"
#include "bench/report/panels.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ProvenancePanel, ListsEveryDifferenceOnceWithTheLegsItIsFoundIn) {
  EvidenceFolder now = folder(2);
  for (LegEvidence& leg : now.legs) leg.profile_metadata["git_commit"] = "new & <better>";
  EvidenceFolder before = folder(2);
  for (LegEvidence& leg : before.legs) leg.profile_metadata["git_commit"] = "old";
  const std::string html = provenance_panel(compared(before, now).analysis);
  EXPECT_EQ(count_of(html, "<td>git_commit</td>"), 1u);
  EXPECT_THAT(html, HasSubstr("new &amp; &lt;better&gt;"));
  EXPECT_THAT(html, HasSubstr("few/profile and many/profile"));
}

TEST(ProvenancePanel, SaysThatNothingDiffers) {
  EXPECT_THAT(provenance_panel(unchanged()), HasSubstr("No field"));
}

}  // namespace
}  // namespace nvllm::bench
