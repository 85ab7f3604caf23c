#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"
#include "engine/step_plan.h"

namespace nvllm::engine {

/// Which tenancy each state slot's contents are of. Continuing from a slot is only legal for the tenant whose first
/// step started it from zeros.
class SlotTenancies {
 public:
  explicit SlotTenancies(std::int64_t slot_count) : epochs_(static_cast<std::size_t>(slot_count), 0) {}

  /// Aborts on a step that would continue another tenant's state.
  void check(const StepPlan& plan) {
    for (const Segment& segment : plan.segments) {
      NVLLM_CHECK(segment.slot >= 0 && segment.slot < static_cast<std::int64_t>(epochs_.size()));
      std::uint64_t& epoch = epochs_[static_cast<std::size_t>(segment.slot)];
      if (segment.start == 0) epoch = segment.slot_epoch;
      NVLLM_CHECK_EQ(epoch, segment.slot_epoch);
    }
  }

 private:
  std::vector<std::uint64_t> epochs_;
};

}  // namespace nvllm::engine
