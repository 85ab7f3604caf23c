#include "engine/prefix_keeper.h"

#include <algorithm>
#include <array>
#include <utility>

namespace nvllm::engine {

std::string_view to_string(PrefixMiss miss) {
  constexpr std::array<std::string_view, kPrefixMissCount> kNames = {"cold", "diverged", "evicted", "short", "scored"};
  return kNames[static_cast<std::size_t>(miss)];
}

PrefixKeeper::PrefixKeeper(const EngineLimits& limits, KvBlocks& blocks, StateSlots& slots)
    : enabled_(limits.prefix_caching), interval_(limits.prefix_interval), blocks_(blocks), slots_(slots), cache_(blocks, slots) {}

/// Why a sequence is not even looked up.
std::optional<PrefixMiss> PrefixKeeper::why_not(const Sequence& s) const {
  if (s.request.sampling.prompt_logprobs >= 0) return PrefixMiss::kScored;
  // Less than a block is computed as fast as it is copied; and the last token has to be computed for its logits.
  if (s.token_count() - 1 < blocks_.tokens_per_block()) return PrefixMiss::kShort;
  return std::nullopt;
}

PrefixSearch PrefixKeeper::search(Sequence& s) {
  if (!enabled_ || why_not(s)) return {};
  const std::vector<std::int32_t> tokens = name(s, s.token_count());
  return cache_.find(tokens, *s.prefix.keys, s.token_count() - 1);
}

bool PrefixKeeper::may_fit(std::int64_t tokens, const CachedPrefix& prefix) const {
  const auto used = std::ranges::count_if(prefix.blocks, [&](std::int32_t block) { return blocks_.is_used(block); });
  return blocks_.blocks_for(tokens) - used <= blocks_.free() + blocks_.cached() && slots_.free() + cache_.checkpoints() > 0;
}

std::optional<Reservation> PrefixKeeper::take(Sequence& s) {
  // Room for all known tokens and the one to come: a newcomer does not start by pre-empting itself.
  const std::int64_t tokens = s.token_count() + 1;
  for (;;) {
    const PrefixSearch found = search(s);
    if (!may_fit(tokens, found.found)) return std::nullopt;
    std::optional<Reservation> memory = Reservation::take(blocks_, slots_, tokens, found.found.blocks);
    if (memory) {
      if (enabled_) go_on(s, found, *memory);
      return memory;
    }
    if (!cache_.evict_one()) return std::nullopt;
  }
}

void PrefixKeeper::go_on(Sequence& s, const PrefixSearch& search, const Reservation& memory) {
  const CachedPrefix& prefix = search.found;
  count(s, search);
  s.computed = prefix.tokens;
  s.prefix.kept = prefix.tokens;
  set_marks(s, search);
  if (prefix.tokens == 0) return;
  slot_copies_.push_back({.from = prefix.slot, .to = memory.slot()});
  if (prefix.tail_block >= 0) block_copies_.push_back({.from = prefix.tail_block, .to = memory.blocks()[prefix.blocks.size()]});
}

void PrefixKeeper::count(Sequence& s, const PrefixSearch& search) {
  if (std::exchange(s.prefix.counted, true)) return;
  s.prefix.cached_tokens = search.found.tokens;
  totals_.queried_tokens += static_cast<std::int64_t>(s.request.prompt.size());
  totals_.cached_tokens += search.found.tokens;
  if (search.found.tokens > 0) {
    ++totals_.hits;
    return;
  }
  const PrefixMiss reason = why_not(s).value_or(search.was_evicted        ? PrefixMiss::kEvicted
                                                : search.known_tokens > 0 ? PrefixMiss::kDiverged
                                                                          : PrefixMiss::kCold);
  ++totals_.misses[static_cast<std::size_t>(reason)];
}

void PrefixKeeper::set_marks(Sequence& s, const PrefixSearch& search) const {
  // A step that ends at a mark is a step more: marks are a block or more apart, and from what is there already.
  const std::int64_t gap = blocks_.tokens_per_block(), end = static_cast<std::int64_t>(s.request.prompt.size());
  std::vector<PrefixMark>& marks = s.prefix.marks;
  marks.clear();
  const auto add = [&](std::int64_t position, CheckpointKind kind) {
    const bool near = std::ranges::any_of(marks, [&](const PrefixMark& mark) { return std::abs(mark.position - position) < gap; });
    if (!near && position >= search.found.tokens + gap && position < end) marks.push_back({position, kind});
  };
  for (const std::int64_t position : s.request.cache_points) add(position, CheckpointKind::kLikely);
  add(std::min(search.known_tokens, end - 1), CheckpointKind::kLikely);
  for (std::int64_t position = interval_; interval_ > 0 && position + gap <= end; position += interval_) {
    add(position, CheckpointKind::kSpare);
  }
  std::ranges::sort(marks, {}, &PrefixMark::position);
}

std::int64_t PrefixKeeper::rows_until_mark(const Sequence& s, std::int64_t rows) const {
  for (const PrefixMark& mark : s.prefix.marks) {
    if (mark.position > s.computed) return std::min(rows, mark.position - s.computed);
  }
  return rows;
}

void PrefixKeeper::after_step(Sequence& s) {
  if (s.computed == static_cast<std::int64_t>(s.request.prompt.size())) return keep(s, CheckpointKind::kLikely);
  for (const PrefixMark& mark : s.prefix.marks) {
    if (mark.position == s.computed) return keep(s, mark.kind);
  }
}

bool PrefixKeeper::worth_keeping(const Sequence& s) const {
  return enabled_ && s.memory && s.computed >= s.prefix.kept + blocks_.tokens_per_block();
}

/// A sequence's first tokens, and keys that reach as far.
std::vector<std::int32_t> PrefixKeeper::name(Sequence& s, std::int64_t count) const {
  std::vector<std::int32_t> tokens = s.tokens(count);
  if (!s.prefix.keys) s.prefix.keys.emplace(s.request.cache_salt, blocks_.tokens_per_block());
  s.prefix.keys->extend(tokens);
  return tokens;
}

void PrefixKeeper::keep(Sequence& s, CheckpointKind kind) {
  if (!worth_keeping(s)) return;
  const std::vector<std::int32_t> tokens = name(s, s.computed);
  s.prefix.kept = s.computed;
  const std::optional<StateSlot> slot = cache_.insert(tokens, *s.prefix.keys, s.memory->blocks(), kind);
  if (slot) slot_copies_.push_back({.from = s.memory->slot(), .to = *slot});
}

void PrefixKeeper::at_end(Sequence& s) {
  if (!worth_keeping(s)) return;
  const std::vector<std::int32_t> tokens = name(s, s.computed);
  if (cache_.insert_slot(s.memory->slot(), tokens, *s.prefix.keys, s.memory->blocks(), CheckpointKind::kLikely)) {
    s.memory->hand_over_slot();
  }
}

void PrefixKeeper::move_copies(StepPlan& plan) {
  plan.slot_copies = std::exchange(slot_copies_, {});
  plan.block_copies = std::exchange(block_copies_, {});
}

void PrefixKeeper::report(EngineStats& stats) const {
  stats.prefix = totals_;
  stats.prefix.checkpoints = cache_.checkpoints();
  stats.prefix.evictions = cache_.evictions();
  stats.prefix.kv_blocks = blocks_.cached();
  stats.kv_blocks_total = blocks_.total();
  stats.kv_blocks_used = blocks_.used();
  stats.state_slots_total = slots_.total();
  stats.state_slots_used = slots_.total() - slots_.free() - cache_.checkpoints();
}

}  // namespace nvllm::engine
