#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "engine/prefix_cache.h"
#include "engine/reservation.h"
#include "engine/sequence.h"
#include "engine/step_plan.h"

namespace nvllm::engine {

/// Decides where sequences go on from what others computed, and which of their states are worth keeping: those at the ends
/// of prompt and output, where the request says so, where a prompt parts from one that is known, and every so many tokens. Does
/// nothing but take memory where prefix caching is off. Borrows both pools.
class PrefixKeeper {
 public:
  PrefixKeeper(const EngineLimits& limits, KvBlocks& blocks, StateSlots& slots);

  /// Memory for a sequence's tokens and one more, from the cached beginning on if there is one: `computed` says how far that
  /// is. Cached states give way. Nothing if there is no room.
  [[nodiscard]] std::optional<Reservation> take(Sequence& sequence);
  /// Rows of a sequence that may be computed before its state is to be looked at again.
  std::int64_t rows_until_mark(const Sequence& sequence, std::int64_t rows) const;
  /// Call after each step that a sequence goes on after: keeps its state if it stands at a mark or at the end of its prompt.
  void after_step(Sequence& sequence);
  /// Call when the sequence is over for a good reason, before its memory is given back: its slot may become the cache's.
  void at_end(Sequence& sequence);
  /// Frees memory that only cached states hold; false if there is none.
  bool give_way() { return cache_.evict_one(); }
  void reset() { cache_.clear(); }

  /// What is to be copied before the next step, in order.
  void move_copies(StepPlan& plan);
  void report(EngineStats& stats) const;

 private:
  PrefixSearch search(Sequence& sequence);
  bool may_fit(std::int64_t tokens, const CachedPrefix& prefix) const;
  void go_on(Sequence& sequence, const PrefixSearch& search, const Reservation& memory);
  void count(Sequence& sequence, const PrefixSearch& search);
  void set_marks(Sequence& sequence, const PrefixSearch& search) const;
  void keep(Sequence& sequence, CheckpointKind kind);
  bool worth_keeping(const Sequence& sequence) const;
  std::vector<std::int32_t> name(Sequence& sequence, std::int64_t count) const;
  std::optional<PrefixMiss> why_not(const Sequence& sequence) const;

  bool enabled_;
  std::int64_t interval_;
  KvBlocks& blocks_;
  StateSlots& slots_;
  PrefixCache cache_;
  std::vector<SlotCopy> slot_copies_;
  std::vector<BlockCopy> block_copies_;
  PrefixStats totals_;
};

}  // namespace nvllm::engine
