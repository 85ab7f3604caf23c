#include "faults/planted_faults.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/faults.h"

namespace nvllm::test {
namespace {

TEST(PlantedFaults, AreReadFromWords) {
  const PlantedFaults faults = parse_faults(" stale-state  slow:DecodeKernel:0.03 slow:lm_head:2");
  EXPECT_TRUE(faults.stale_state);
  EXPECT_EQ(faults.slowdowns.size(), 2u);
  EXPECT_EQ(faults.slowdowns.at("DecodeKernel"), 0.03);
  EXPECT_EQ(faults.slowdowns.at("lm_head"), 2);
  EXPECT_FALSE(parse_faults("").stale_state);
  EXPECT_EQ(faults.breaking_step, -1);
  EXPECT_EQ(parse_faults("broken-device:12").breaking_step, 12);
  EXPECT_EQ(faults.hanging_step, -1);
  EXPECT_EQ(parse_faults("hung-engine:0").hanging_step, 0);
}

TEST(PlantedFaults, RefuseWordsThatAreNone) {
  for (const char* words :
       {"stale", "stale-state,slow:DecodeKernel:0.03", "slow", "slow:", "slow:DecodeKernel",
        "slow::0.03", "slow:DecodeKernel:", "slow:DecodeKernel:0", "slow:DecodeKernel:-1",
        "slow:DecodeKernel:11", "slow:DecodeKernel:nan", "slow:DecodeKernel:3%",
        "slow:DecodeKernel:0.1 slow:DecodeKernel:0.2", "stale-state Stale-State", "broken-device", "broken-device:",
        "broken-device:-1", "broken-device:x", "hung-engine", "hung-engine:-1"}) {
    try {
      static_cast<void>(parse_faults(words));
      ADD_FAILURE() << "taken: " << words;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage) << words;
    }
  }
}

TEST(PlantedFaults, LastAsLongAsTheirPlanting) {
  EXPECT_EQ(planted_slowdown("DecodeKernel"), 0);
  {
    const Planting planting("slow:DecodeKernel:0.03");
    EXPECT_EQ(planted_slowdown("DecodeKernel"), 0.03);
    EXPECT_EQ(planted_slowdown("PhaseE_Beta_Kernel"), 0);
    EXPECT_FALSE(fresh_sequence_reads_its_slot());
  }
  EXPECT_EQ(planted_slowdown("DecodeKernel"), 0);
}

}  // namespace
}  // namespace nvllm::test
