#include "base/faults.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace nvllm {
namespace {

TEST(Faults, AreNoneInNormalProgramsWhateverTheEnvironmentSays) {
  ASSERT_EQ(::setenv("NVLLM_FAULTS", "stale-state slow:DecodeKernel:0.03", 1), 0);
  EXPECT_FALSE(fresh_sequence_reads_its_slot());
  EXPECT_EQ(planted_slowdown("DecodeKernel"), 0);
  ::unsetenv("NVLLM_FAULTS");
}

}  // namespace
}  // namespace nvllm
