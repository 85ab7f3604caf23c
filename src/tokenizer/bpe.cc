// A linked list of symbols and a heap of candidate merges, smallest rank first, leftmost first
// among equals. Candidates are never removed when their symbols change: a popped candidate counts
// only if the pair that stands there now still makes the same token.

#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>

namespace nvllm::tokenizer {

namespace {

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) |
         static_cast<std::uint32_t>(right);
}

bool merges_later(const MergeScratch::Candidate& a, const MergeScratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

MergeTable::MergeTable(std::size_t count) : slots_(std::bit_ceil(2 * count + 2)) {}

std::size_t MergeTable::slot_of(std::uint64_t pair) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = static_cast<std::size_t>((pair * 0x9e3779b97f4a7c15ull) >> 20) & mask;
  while (slots_[slot].merge.rank >= 0 && slots_[slot].pair != pair) slot = (slot + 1) & mask;
  return slot;
}

void MergeTable::set(std::int32_t left, std::int32_t right, Merge merge) {
  const std::uint64_t pair = pair_key(left, right);
  slots_[slot_of(pair)] = {pair, merge};
}

Merge MergeTable::find(std::int32_t left, std::int32_t right) const {
  return slots_[slot_of(pair_key(left, right))].merge;
}

void merge_word(std::string_view word, const std::array<std::int32_t, 256>& byte_ids,
                const MergeTable& merges, MergeScratch& scratch, std::vector<std::int32_t>& ids) {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  symbols.clear();
  heap.clear();
  for (const char byte : word) {
    const std::int32_t id = byte_ids[static_cast<std::uint8_t>(byte)];
    if (id < 0) continue;
    const auto index = static_cast<std::int32_t>(symbols.size());
    symbols.push_back({id, index - 1, index + 1});
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;

  const auto candidate_at = [&](std::int32_t left) -> MergeScratch::Candidate {
    const auto& symbol = symbols[static_cast<std::size_t>(left)];
    const Merge merge = merges.find(symbol.id, symbols[static_cast<std::size_t>(symbol.next)].id);
    return {merge.rank, left, merge.merged};
  };
  const auto offer = [&](std::int32_t left) {
    const MergeScratch::Candidate candidate = candidate_at(left);
    if (candidate.rank < 0) return;
    heap.push_back(candidate);
    std::push_heap(heap.begin(), heap.end(), merges_later);
  };

  for (std::int32_t i = 0; i + 1 < static_cast<std::int32_t>(symbols.size()); ++i) {
    const MergeScratch::Candidate candidate = candidate_at(i);
    if (candidate.rank >= 0) heap.push_back(candidate);
  }
  std::make_heap(heap.begin(), heap.end(), merges_later);

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), merges_later);
    const MergeScratch::Candidate top = heap.back();
    heap.pop_back();
    ++scratch.heap_pops;
    auto& left = symbols[static_cast<std::size_t>(top.position)];
    if (left.id < 0 || left.next < 0) continue;
    const MergeScratch::Candidate now = candidate_at(top.position);
    if (now.rank < 0 || now.merged != top.merged) continue;
    auto& right = symbols[static_cast<std::size_t>(left.next)];
    left.id = top.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = top.position;
    if (left.previous >= 0) offer(left.previous);
    if (left.next >= 0) offer(top.position);
  }
  for (std::int32_t i = 0; i >= 0; i = symbols[static_cast<std::size_t>(i)].next) {
    ids.push_back(symbols[static_cast<std::size_t>(i)].id);
  }
}

}  // namespace nvllm::tokenizer
