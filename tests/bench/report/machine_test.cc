#include "bench/report/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

Json slower() {
  return compared(folder(4), folder(4, {.fused_us = 400, .plain_us = 150, .gemm_us = 55})).analysis;
}

TEST(Junit, CountsCasesAsTheyStandBelow) {
  const std::string xml = junit_xml(slower());
  const std::size_t failures = count_of(xml, "<failure "), skipped = count_of(xml, "<skipped ");
  EXPECT_EQ(count_of(xml, "<testcase "), 7u);  // six gates and the verdict
  EXPECT_THAT(xml, HasSubstr("tests=\"7\" failures=\"" + std::to_string(failures) +
                             "\" errors=\"0\" skipped=\"" + std::to_string(skipped) + "\""));
  EXPECT_EQ(count_of(xml, "</testcase>"), 7u);
  EXPECT_THAT(xml, testing::EndsWith("</testsuites>\n"));
}

TEST(Junit, AFailedRequiredGateFailsAndAnUndecidedOneIsNoPass) {
  EXPECT_THAT(junit_xml(slower()),
              HasSubstr("name=\"kernels\" time=\"0\">\n      <failure message=\"FAIL\">"));
  EXPECT_THAT(junit_xml(compared(folder(1), folder(1)).analysis),
              HasSubstr("name=\"kernels\" time=\"0\">\n      <skipped message=\"INCONCLUSIVE"));
  EXPECT_THAT(junit_xml(unchanged()),
              HasSubstr("name=\"kernels\" time=\"0\">\n      <system-out>PASS"));
}

TEST(Junit, ARefusedComparisonIsOneFailure) {
  EvidenceFolder now = folder(2);
  now.legs[0].profile_metadata["model"] = "a<b>&\"\x01";
  const std::string xml = junit_xml(compared(folder(2), now).analysis);
  EXPECT_THAT(xml, HasSubstr("tests=\"1\" failures=\"1\""));
  EXPECT_THAT(xml, HasSubstr("a&lt;b&gt;&amp;"));
  EXPECT_THAT(xml, Not(HasSubstr("\x01")));
}

TEST(GithubAnnotations, NameTheLevelOfEveryGateOnALineOfItsOwn) {
  const std::string lines = github_annotations(slower());
  EXPECT_EQ(count_of(lines, "\n"), 7u);
  EXPECT_THAT(lines, HasSubstr("::error title=gate kernels::FAIL: "));
  EXPECT_THAT(lines, HasSubstr("::notice title=gate calls::PASS: "));
  EXPECT_THAT(lines, HasSubstr("%0Amany: "));  // the second leg's line
  EXPECT_EQ(count_of(lines, "::error"), 1u + count_of(lines, "::error title=gate order"));
}

}  // namespace
}  // namespace nvllm::bench
