#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"
#include "bench/report/panels.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(BootsPanel, HasAMarkForEveryBootOfEveryKernelAndOfTheTokenTime) {
  const std::string html = boots_panel(unchanged());
  EXPECT_EQ(count_of(html, "<circle"), 2u * 4 * 2 * 4);  // legs, lines, sides, boots
  EXPECT_EQ(count_of(html, "before, boot 4: "), 8u);
  // The third boot of the fused kernel is 0.1 % below its mean but for the mean's own shift.
  EXPECT_THAT(html, HasSubstr("now, boot 3: 399.6 us (-0.10 %)"));
}

TEST(BootsPanel, HoldsAFolderWithoutABaselineAgainstItsOwnMean) {
  const std::string html = boots_panel(alone(folder(3)));
  EXPECT_EQ(count_of(html, "<circle"), 2u * 4 * 3);
  EXPECT_THAT(html, Not(HasSubstr("before")));
  EXPECT_THAT(html, HasSubstr("around the mean of its line"));
}

}  // namespace
}  // namespace nvllm::bench
