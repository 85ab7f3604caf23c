#include "bench/profile/budget.h"

#include <gtest/gtest.h>

namespace nvllm::bench {
namespace {

Profile decode_steps(const std::vector<ProfileStep>& steps) {
  Profile profile;
  profile.last_steps = steps;
  return profile;
}

TEST(Budget, ComparesMediansOfDecodeStepsWithTheUnprofiledStep) {
  const BudgetClosure budget = close_budget(
      decode_steps({{.wall_s = 1.1, .decode_rows = 1, .kernel_s = 0.90, .host_s = 0.06},
                    {.wall_s = 9.9, .decode_rows = 1, .kernel_s = 9.00, .host_s = 0.90},  // taken away by others
                    {.wall_s = 1.0, .decode_rows = 1, .kernel_s = 0.80, .host_s = 0.05},
                    {.wall_s = 5.0, .prefill_rows = 8, .kernel_s = 5.00, .host_s = 0.00}}),
      {.unprofiled_s = 1.0, .profiled_s = 1.1});
  EXPECT_EQ(budget.kernel_s, 0.90);
  EXPECT_EQ(budget.host_s, 0.06);
  EXPECT_NEAR(budget.share(), 0.96, 1e-12);
  EXPECT_NEAR(budget.overhead(), 0.1, 1e-12);
  EXPECT_EQ(budget.outcome(), BudgetOutcome::kClosed);
}

TEST(Budget, IsOpenBelowNinetyFiveAndOverfullAboveAHundredAndOne) {
  const auto outcome = [](double kernel_s) {
    return close_budget(decode_steps({{.wall_s = 1, .decode_rows = 1, .kernel_s = kernel_s, .host_s = 0}}), {1.0, 1.0})
        .outcome();
  };
  EXPECT_EQ(outcome(0.949), BudgetOutcome::kOpen);
  EXPECT_EQ(outcome(0.95), BudgetOutcome::kClosed);
  EXPECT_EQ(outcome(1.01), BudgetOutcome::kClosed);
  EXPECT_EQ(outcome(1.011), BudgetOutcome::kOverfull);
}

TEST(Budget, SaysItsSharesAndOutcome) {
  const BudgetClosure budget =
      close_budget(decode_steps({{.wall_s = 1e-3, .decode_rows = 1, .kernel_s = 4e-4, .host_s = 1e-4}}), {1e-3, 1e-3});
  EXPECT_NE(budget_text(budget).find("BUDGET_OPEN"), std::string::npos);
  EXPECT_NE(budget_text(budget).find("40.00 %"), std::string::npos);
  EXPECT_EQ(budget_json(budget)["outcome"], "BUDGET_OPEN");
  EXPECT_NEAR(budget_json(budget)["share"].get<double>(), 0.5, 1e-12);
}

}  // namespace
}  // namespace nvllm::bench
