#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"
#include "bench/report/panels.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ForestPanel, CarriesEveryMaterialKernelWithItsChangeAndInterval) {
  const Json analysis =
      compared(folder(4), folder(4, {.fused_us = 404, .plain_us = 150, .gemm_us = 50})).analysis;
  const std::string html = forest_panel(analysis);
  EXPECT_EQ(count_of(html, "<circle"), 6u);  // three kernels of two legs
  EXPECT_EQ(count_of(html, ">+1.00 % (+1.00 to +1.00) EQUIVALENT_SHIFTED<"), 2u);
  EXPECT_THAT(html, HasSubstr("margin of 2 %"));
}

TEST(ForestPanel, SaysThatWhatIsFarOffIsDrawnAtTheEdge) {
  const BootTimes slow{.fused_us = 1000, .plain_us = 150, .gemm_us = 50};
  const std::string html = forest_panel(compared(folder(4), folder(4, slow)).analysis);
  EXPECT_THAT(html, HasSubstr("+150.00 %"));
  EXPECT_THAT(html, HasSubstr("cx=\"100.00%\""));
  EXPECT_THAT(html, HasSubstr("beyond 60 % is drawn at the edge"));
  EXPECT_THAT(forest_panel(unchanged()), Not(HasSubstr("at the edge")));
}

TEST(ForestPanel, EscapesAKernelsName) {
  EvidenceFolder before = folder(4);
  for (LegEvidence& leg : before.legs) {
    for (KernelTable& table : leg.profiles)
      table.rows[0].name = table.rows[0].short_name = kHostile;
  }
  const std::string html = forest_panel(compared(before, before).analysis);
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&quot;1&quot;)"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("<b onclick")));
}

TEST(ForestPanel, SaysNothingAboutChangeWithoutABaseline) {
  EXPECT_EQ(forest_panel(alone(folder(4))), "");
}

}  // namespace
}  // namespace nvllm::bench
