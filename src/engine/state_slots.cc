#include "engine/state_slots.h"

#include "base/check.h"

namespace nvllm::engine {

StateSlots::StateSlots(std::int64_t count) : taken_(static_cast<std::size_t>(count), false) {
  for (std::int64_t slot = count; slot-- > 0;) free_.push_back(static_cast<std::int32_t>(slot));
}

std::optional<StateSlot> StateSlots::take() {
  if (free_.empty()) return std::nullopt;
  const std::int32_t index = free_.back();
  free_.pop_back();
  taken_[static_cast<std::size_t>(index)] = true;
  return StateSlot{index, next_epoch_++};
}

void StateSlots::give_back(StateSlot slot) {
  NVLLM_CHECK(slot.index >= 0 && slot.index < total());
  NVLLM_CHECK(taken_[static_cast<std::size_t>(slot.index)]);
  taken_[static_cast<std::size_t>(slot.index)] = false;
  free_.push_back(slot.index);
}

}  // namespace nvllm::engine
