#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/kv_blocks.h"
#include "engine/state_slots.h"

namespace nvllm::engine {

/// One sequence's memory: its KV blocks and its recurrent-state slot, taken together or not at all
/// and given back when this object ends, however the sequence ended. Borrows both pools.
class Reservation {
 public:
  /// Room for `tokens` positions, or nothing if blocks or a slot are lacking. The first blocks are `shared` with whoever
  /// holds them already: they are read, never written.
  [[nodiscard]] static std::optional<Reservation> take(KvBlocks& blocks, StateSlots& slots, std::int64_t tokens,
                                                       std::span<const std::int32_t> shared = {});
  ~Reservation() { give_back(); }
  Reservation(Reservation&& other) noexcept
      : blocks_(std::exchange(other.blocks_, nullptr)), slots_(other.slots_), table_(std::move(other.table_)),
        slot_(other.slot_) {}
  Reservation& operator=(Reservation&& other) noexcept {
    if (this != &other) {
      give_back();
      blocks_ = std::exchange(other.blocks_, nullptr);
      slots_ = other.slots_;
      table_ = std::move(other.table_);
      slot_ = other.slot_;
    }
    return *this;
  }

  /// Extends to `tokens` positions; false, with nothing changed, if blocks are lacking.
  [[nodiscard]] bool grow_to(std::int64_t tokens);
  std::span<const std::int32_t> blocks() const { return table_; }
  StateSlot slot() const { return slot_; }
  /// The slot is somebody else's from now on, who gives it back.
  void hand_over_slot() { slot_.index = -1; }

 private:
  Reservation(KvBlocks& blocks, StateSlots& slots, StateSlot slot) : blocks_(&blocks), slots_(&slots), slot_(slot) {}
  void give_back();

  KvBlocks* blocks_;  ///< null after a move
  StateSlots* slots_;
  std::vector<std::int32_t> table_;
  StateSlot slot_;
};

}  // namespace nvllm::engine
