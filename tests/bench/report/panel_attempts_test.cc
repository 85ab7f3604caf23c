#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"
#include "bench/report/panels.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(AttemptsPanel, ListsWhatFailedAndWhereItIsKept) {
  Json analysis = unchanged();
  analysis["run"]["candidate"]["attempts"] = Json::array({{{"kept_in", "few/attempts/01"},
                                                           {"unit", "few/rounds/01/profile"},
                                                           {"attempt", 1},
                                                           {"state", "ABORTED"},
                                                           {"exit", 7}}});
  const std::string html = attempts_panel(analysis);
  EXPECT_THAT(html, HasSubstr("1 attempts failed"));
  EXPECT_THAT(
      html,
      HasSubstr("<td>now</td><td>few/rounds/01/profile</td><td class=\"n\">1</td><td>ABORTED</td>"
                "<td class=\"n\">7</td><td>few/attempts/01</td>"));
}

TEST(AttemptsPanel, SaysThatNoneFailed) {
  EXPECT_THAT(attempts_panel(unchanged()), HasSubstr("No attempt failed"));
}

}  // namespace
}  // namespace nvllm::bench
