// Medians, because one step that the machine took away would move a mean by more than the gate is wide.

#include "bench/profile/budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace nvllm::bench {

namespace {

double median_of(const std::vector<ProfileStep>& steps, double ProfileStep::*field) {
  std::vector<double> values;
  for (const ProfileStep& step : steps) values.push_back(step.*field);
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace

std::string_view to_string(BudgetOutcome outcome) {
  switch (outcome) {
    case BudgetOutcome::kClosed:
      return "closed";
    case BudgetOutcome::kOpen:
      return "BUDGET_OPEN";
    case BudgetOutcome::kOverfull:
      break;
  }
  return "BUDGET_OVERFULL";
}

BudgetOutcome BudgetClosure::outcome() const {
  if (share() < kShareMin) return BudgetOutcome::kOpen;
  return share() <= kShareMax ? BudgetOutcome::kClosed : BudgetOutcome::kOverfull;
}

BudgetClosure close_budget(const Profile& profile, const StepWalls& walls) {
  std::vector<ProfileStep> steps;
  std::ranges::copy_if(profile.last_steps, std::back_inserter(steps),
                       [](const ProfileStep& s) { return s.prefill_rows == 0; });
  NVLLM_CHECK(!steps.empty());
  NVLLM_CHECK(walls.unprofiled_s > 0 && walls.profiled_s > 0);
  return {.kernel_s = median_of(steps, &ProfileStep::kernel_s),
          .host_s = median_of(steps, &ProfileStep::host_s),
          .profiled_wall_s = walls.profiled_s,
          .wall_s = walls.unprofiled_s};
}

std::string budget_text(const BudgetClosure& b) {
  return fmt::format(
      "budget   {:>8.2f} %  of {:.1f} us a step without listening: kernels {:.2f} %, host {:.2f} %; {} "
      "(gate {:.0f} to {:.0f} %)\n"
      "overhead {:>8.2f} %  a profiled step takes {:.1f} us\n",
      100 * b.share(), b.wall_s * 1e6, 100 * b.kernel_share(), 100 * b.host_share(), to_string(b.outcome()),
      100 * BudgetClosure::kShareMin, 100 * BudgetClosure::kShareMax, 100 * b.overhead(), b.profiled_wall_s * 1e6);
}

Json budget_json(const BudgetClosure& b) {
  Json json;
  json["wall_s"] = b.wall_s;
  json["profiled_wall_s"] = b.profiled_wall_s;
  json["kernel_s"] = b.kernel_s;
  json["host_s"] = b.host_s;
  json["kernel_share"] = b.kernel_share();
  json["host_share"] = b.host_share();
  json["share"] = b.share();
  json["overhead"] = b.overhead();
  json["outcome"] = to_string(b.outcome());
  return json;
}

}  // namespace nvllm::bench
