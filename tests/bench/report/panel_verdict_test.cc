#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"
#include "bench/report/panels.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(VerdictPanel, ShowsTheVerdictItsGatesAndHowFarItIsFromAnother) {
  const std::string html = verdict_panel(unchanged());
  EXPECT_THAT(html, HasSubstr("<p class=\"verdict\">stays-dead <span class=\"badge good\">"));
  EXPECT_THAT(html, HasSubstr("gate <strong>kernels</strong> (required) <span class=\"badge "
                              "good\">&#10003; PASS</span>"));
  EXPECT_THAT(html, HasSubstr("<br>turns over if mean_us(few,PhaseE*) falls by 62.5 %, to 150 us"));
  EXPECT_THAT(html, HasSubstr("<strong>Post-hoc</strong>"));
  EXPECT_THAT(html, HasSubstr("truth table"));
  EXPECT_EQ(count_of(html, "<tr class=\"changed\">"), 1u);  // the rule that decided
}

TEST(VerdictPanel, ARefusedComparisonHasNoGates) {
  EvidenceFolder now = folder(2);
  now.legs[0].profile_metadata["model"] = kHostile;
  const std::string html = verdict_panel(compared(folder(2), now).analysis);
  EXPECT_THAT(html, HasSubstr("NOT_COMPARABLE"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("<li>gate")));
}

}  // namespace
}  // namespace nvllm::bench
