#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"
#include "bench/report/panels.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(CallsPanel, TellsCallsAStepAndMarksAChangedLaw) {
  EvidenceFolder now = folder(4);
  for (KernelTable& table : now.legs[0].profiles) table = boot("few", table.round, {}, 3);
  const std::string html = calls_panel(compared(folder(4), now).analysis);
  EXPECT_THAT(html, HasSubstr("few: 1 call laws changed"));
  EXPECT_THAT(html, HasSubstr("many: 0 call laws changed"));
  EXPECT_EQ(count_of(html, "<tr class=\"changed\">"), 1u);
  EXPECT_THAT(
      html,
      HasSubstr("<tr class=\"changed\"><td>PhaseE_Beta_Kernel</td><td>2 and 0</td><td>3 and 0</td>"
                "<td class=\"n\">2</td><td>one burst</td><td>CHANGED</td>"));
}

TEST(CallsPanel, ShowsNoBeforeWithoutABaseline) {
  const std::string html = calls_panel(alone(folder(2)));
  EXPECT_THAT(html, HasSubstr("<td>DecodeKernel</td><td>14 and 0</td><td class=\"n\">14</td>"));
  EXPECT_THAT(html, Not(HasSubstr("CHANGED")));
}

TEST(CallsPanel, SaysWhereBootsOfOneFolderDiffer) {
  EvidenceFolder now = folder(4);
  now.legs[1].profiles[2] = boot("many", 3, {}, 5);
  EXPECT_THAT(calls_panel(compared(folder(4), now).analysis), HasSubstr("boots differ"));
}

}  // namespace
}  // namespace nvllm::bench
