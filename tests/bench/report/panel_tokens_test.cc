#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"
#include "bench/report/panels.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(TokensPanel, FallsFromNamedKernelsOverAllKernelsToTheWallTime) {
  const std::string html = tokens_panel(unchanged());
  // Leg few: 2 x 400 us and 14 x 150 us are named, 100 x 50 us are not; a token of an answer takes
  // 10 ms.
  EXPECT_THAT(html, HasSubstr("named kernels: 2.9"));
  EXPECT_THAT(html, HasSubstr("rest of the wall time: 2.1"));
  EXPECT_THAT(html, HasSubstr("kernels / wall 79.0 %"));
  EXPECT_THAT(html, HasSubstr("ms of kernels, 10.00 ms of wall time (before: 7.9"));
}

TEST(TokensPanel, NamesKernelsBeyondTheWallTime) {
  const Json slow =
      compared(folder(4), folder(4, {.fused_us = 400, .plain_us = 150, .gemm_us = 200})).analysis;
  const std::string html = tokens_panel(slow);
  EXPECT_THAT(html, HasSubstr("kernels beyond the wall time: -12."));
  EXPECT_THAT(html, HasSubstr("kernels / wall 229."));
}

}  // namespace
}  // namespace nvllm::bench
