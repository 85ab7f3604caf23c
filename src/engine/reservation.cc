#include "engine/reservation.h"

namespace nvllm::engine {

std::optional<Reservation> Reservation::take(KvBlocks& blocks, StateSlots& slots, std::int64_t tokens,
                                             std::span<const std::int32_t> shared) {
  if (blocks.free() < blocks.blocks_for(tokens) - static_cast<std::int64_t>(shared.size())) return std::nullopt;
  const std::optional<StateSlot> slot = slots.take();
  if (!slot) return std::nullopt;
  Reservation made(blocks, slots, *slot);
  for (const std::int32_t block : shared) {
    blocks.share(block);
    made.table_.push_back(block);
  }
  if (!made.grow_to(tokens)) return std::nullopt;  // gives everything back
  return made;
}

bool Reservation::grow_to(std::int64_t tokens) {
  const std::int64_t missing = blocks_->blocks_for(tokens) - static_cast<std::int64_t>(table_.size());
  return missing <= 0 || blocks_->take(missing, table_);
}

void Reservation::give_back() {
  if (blocks_ == nullptr) return;
  blocks_->give_back(table_);
  if (slot_.index >= 0) slots_->give_back(slot_);
  blocks_ = nullptr;
}

}  // namespace nvllm::engine
