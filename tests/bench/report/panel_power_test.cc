#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"
#include "bench/report/panels.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(PowerPanel, TellsWhatTheseQuestionsAndTheseBootsCouldHaveSeen) {
  const Json analysis =
      compared(folder(4), folder(4, {.fused_us = 401, .plain_us = 150, .gemm_us = 50})).analysis;
  const std::string html = power_panel(analysis);
  EXPECT_THAT(html, HasSubstr("200 questions (this run)"));
  EXPECT_THAT(html, HasSubstr("chance to show a loss below 4 pt"));
  EXPECT_THAT(html, HasSubstr("few: 4 boots, measured scatter of 0."));
  EXPECT_THAT(html, HasSubstr("4 boots (this run)"));
  // Boots that differ by 0.1 % show 2 % for sure.
  EXPECT_THAT(html, HasSubstr(">1.00<"));
}

TEST(PowerPanel, ABootByItselfFindsNothing) {
  const std::string noise =
      "[noise]\nkind = \"borrowed\"\nboot_sigma = \"0.5%\"\nsource = \"elsewhere\"\n";
  const std::string html = power_panel(compared(folder(1), folder(1), rules(noise)).analysis);
  EXPECT_THAT(html, HasSubstr("few: 1 boots, borrowed scatter of 0.5 % a boot"));
  EXPECT_THAT(html, HasSubstr("one boot finds nothing by itself"));
  EXPECT_THAT(html,
              HasSubstr(">0.38<"));  // two boots at 0.5 % and 2 %: the table of the statistics
}

}  // namespace
}  // namespace nvllm::bench
