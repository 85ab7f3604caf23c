// Folders of servers that are not ours: without kernels, or without a boot for each round.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/analysis/synthetic_folders.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;

/// The same folder with its second leg as a server without a profiler leaves it.
EvidenceFolder with_an_unprofiled_leg() {
  EvidenceFolder evidence = folder(4);
  LegEvidence& leg = evidence.legs[1];
  leg.profiles.clear();
  leg.profile_metadata["boots"] = Json::array();
  for (const double wall : {8.0, 8.2, 8.1, 8.1}) {
    leg.profile_metadata["boots"].push_back(Json{{"budget", {{"wall_ms_per_token", wall}}}});
  }
  leg.profile_metadata["deviations"] = Json::array({Json{{"rule", "kernels are not profiled"}, {"reason", "no page"}}});
  return evidence;
}

TEST(OtherServers, ALegWithoutKernelsLeavesTheGatesAboutThemOpenWhateverTheOtherShows) {
  const Comparison open = compared(with_an_unprofiled_leg(), with_an_unprofiled_leg());
  EXPECT_EQ(gate(open, "calls"), "INCONCLUSIVE");
  EXPECT_EQ(gate(open, "kernels"), "INCONCLUSIVE");
  EXPECT_EQ(gate(open, "floor"), "PASS");
  EXPECT_EQ(open.exit, ComparisonExit::kInconclusive);
}

TEST(OtherServers, ALegWithoutKernelsHasItsWallTimeByBoot) {
  const Comparison open = compared(with_an_unprofiled_leg(), with_an_unprofiled_leg());
  const Json& leg = open.analysis.at("aggregate").at("legs").at(1).at("candidate");
  EXPECT_NEAR(leg.at("wall_ms").get<double>(), 8.1, 1e-9);
  EXPECT_EQ(leg.at("wall_boots"), 4);
  EXPECT_TRUE(leg.at("kernels_ms").is_null());
  // Without timed bursts there is the slope over the answers: 10 ms a token.
  const Json& other = open.analysis.at("aggregate").at("legs").at(0).at("candidate");
  EXPECT_NEAR(other.at("wall_ms").get<double>(), 10, 1e-9);
  EXPECT_FALSE(other.contains("wall_boots"));
}

TEST(OtherServers, KernelsAndHostWorkAreHeldAgainstTheBurstsWhereThereAreSome) {
  EvidenceFolder timed = folder(4);
  for (LegEvidence& leg : timed.legs) {
    leg.profile_metadata["boots"] = Json::array();
    for (const double wall : {7.9, 8.1})
      leg.profile_metadata["boots"].push_back({{"budget", {{"wall_ms_per_token", wall}, {"host_ms_per_step", 0.08}}}});
  }
  const Comparison found = compared(folder(4), timed);
  const Json& leg = found.analysis.at("aggregate").at("legs").at(0);
  EXPECT_NEAR(leg.at("candidate").at("wall_ms").get<double>(), 8.0, 1e-9);
  EXPECT_NEAR(leg.at("candidate").at("coverage").get<double>(),
              (leg.at("candidate").at("kernels_ms").get<double>() + 0.08) / 8.0, 1e-9);
  EXPECT_NEAR(leg.at("baseline").at("wall_ms").get<double>(), 10, 1e-9);
}

TEST(OtherServers, WhatUnitsNotedIsADeviationOfTheFolder) {
  const Comparison open = compared(with_an_unprofiled_leg(), with_an_unprofiled_leg());
  const Json& found = open.analysis.at("comparability").at("candidate").at("deviations");
  EXPECT_THAT(dump_json(found), HasSubstr("many/profile: kernels are not profiled (no page)"));
}

TEST(OtherServers, RoundsOfOneBootAreProvisionalAboutTimesAndNotAboutCounts) {
  EvidenceFolder once = folder(4);
  for (LegEvidence& leg : once.legs) leg.profile_metadata["engine"] = Json{{"restarted", false}};
  const Comparison provisional = compared(folder(4), once);
  EXPECT_EQ(gate(provisional, "kernels"), "PASS (PROVISIONAL)");
  EXPECT_EQ(gate(provisional, "order"), "PASS (PROVISIONAL)");
  EXPECT_EQ(gate(provisional, "calls"), "PASS");
  EXPECT_EQ(gate(provisional, "quality"), "PASS");
  EXPECT_EQ(provisional.analysis.at("verdict").at("outcome"), "PROVISIONAL");
}

}  // namespace
}  // namespace nvllm::bench
