#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"
#include "engine/step_plan.h"

namespace nvllm::engine {

/// Which tenancy each state slot's contents are of. Continuing from a slot is only legal for the tenant whose first
/// step started it from zeros, or to whom a state was copied.
class SlotTenancies {
 public:
  explicit SlotTenancies(std::int64_t slot_count) : epochs_(static_cast<std::size_t>(slot_count), 0) {}

  /// Aborts on a step that would continue or copy another tenant's state.
  void check(const StepPlan& plan) {
    for (const SlotCopy& copy : plan.slot_copies) {
      NVLLM_CHECK_EQ(of(copy.from.index), copy.from.epoch);
      of(copy.to.index) = copy.to.epoch;
    }
    for (const Segment& segment : plan.segments) {
      std::uint64_t& epoch = of(segment.slot);
      if (segment.start == 0) epoch = segment.slot_epoch;
      NVLLM_CHECK_EQ(epoch, segment.slot_epoch);
    }
  }

 private:
  std::uint64_t& of(std::int32_t slot) {
    NVLLM_CHECK(slot >= 0 && slot < static_cast<std::int64_t>(epochs_.size()));
    return epochs_[static_cast<std::size_t>(slot)];
  }

  std::vector<std::uint64_t> epochs_;
};

}  // namespace nvllm::engine
