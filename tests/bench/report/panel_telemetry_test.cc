#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"
#include "bench/report/panels.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

Json with_telemetry() {
  Json analysis = unchanged();
  analysis["run"]["candidate"]["telemetry"] = {
      {"looks", 3},
      {"seconds", 20.0},
      {"points", {{0.0, 20.0, nullptr, 0.0}, {10.0, 12.5, 1.25, 3.0}, {20.0, 18.0, 1.5, 0.0}}},
      {"phases",
       {{{"unit", "few/rounds/01/profile"}, {"state", "WARMING"}, {"from_s", 0.0}, {"to_s", 5.0}},
        {{"unit", "many/rounds/01/gsm8k"},
         {"state", "MEASURING"},
         {"from_s", 5.0},
         {"to_s", 20.0}}}}};
  return analysis;
}

TEST(TelemetryPanel, DrawsWhatTheWatchdogSawAndWhatRanWhen) {
  const std::string html = telemetry_panel(with_telemetry());
  EXPECT_THAT(html, HasSubstr("12.5 to 20 GiB"));
  EXPECT_THAT(html, HasSubstr("1.25 to 1.5 GiB"));
  EXPECT_THAT(html, HasSubstr("few/rounds/01/profile WARMING, 0 to 5 s"));
  EXPECT_THAT(html, HasSubstr("x=\"25.00%\" y=\"3\" width=\"75.00%\""));
  EXPECT_THAT(html, HasSubstr("M500.0 "));  // the server's curve begins where it was first seen
}

TEST(TelemetryPanel, SaysThatThereIsNone) {
  EXPECT_THAT(telemetry_panel(unchanged()), HasSubstr("Neither folder kept"));
}

}  // namespace
}  // namespace nvllm::bench
