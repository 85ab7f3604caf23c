#include "engine/prefix_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace nvllm::engine {

namespace {

constexpr std::size_t kEvictedMax = 4096;  // names remembered, to tell "evicted" from "never seen"

std::int64_t common(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  return std::ranges::mismatch(a, b).in1 - a.begin();
}

}  // namespace

std::size_t PrefixCache::KeyHash::operator()(const Sha256& key) const {
  std::size_t head = 0;
  std::memcpy(&head, key.data(), sizeof(head));
  return head;
}

std::span<const std::int32_t> PrefixCache::block_of(std::span<const std::int32_t> tokens, std::int64_t index) const {
  const auto each = static_cast<std::size_t>(blocks_.tokens_per_block());
  const std::size_t first = static_cast<std::size_t>(index) * each;
  return tokens.subspan(first, std::min(each, tokens.size() - first));
}

PrefixCache::Node* PrefixCache::node_at(const Sha256& key, const Node* parent, std::span<const std::int32_t> tokens) {
  const auto found = nodes_.find(key);
  if (found == nodes_.end()) return nullptr;
  Node& node = found->second;
  return node.parent == parent && std::ranges::equal(node.tokens, tokens) ? &node : nullptr;
}

PrefixSearch PrefixCache::find(std::span<const std::int32_t> tokens, const PrefixKeys& keys, std::int64_t limit) {
  PrefixSearch search;
  Checkpoint* best = nullptr;
  std::vector<std::int32_t> path;
  std::int64_t depth = 0;
  for (Node* node = node_at(keys.of(0), nullptr, {}); node != nullptr;) {
    if (node->block >= 0) path.push_back(node->block);
    const std::int64_t before = depth * blocks_.tokens_per_block();
    const std::span<const std::int32_t> rest = tokens.subspan(static_cast<std::size_t>(before));
    search.known_tokens = before;
    for (Checkpoint* checkpoint : node->checkpoints) {
      const std::int64_t same = common(checkpoint->tail, rest), length = static_cast<std::int64_t>(checkpoint->tail.size());
      search.known_tokens = std::max(search.known_tokens, before + same);
      if (same < length || before + length > limit || before + length < search.found.tokens) continue;
      search.found.tokens = before + length;
      best = checkpoint;
    }
    for (const Node* child : node->children) search.known_tokens = std::max(search.known_tokens, before + common(child->tokens, rest));
    if (depth >= keys.blocks()) break;
    node = node_at(keys.of(depth + 1), node, block_of(tokens, depth));
    ++depth;
  }
  for (std::int64_t i = keys.blocks(); i > search.found.tokens / blocks_.tokens_per_block() && !search.was_evicted; --i) {
    search.was_evicted = evicted_.contains(keys.of(i));
  }
  if (best == nullptr) return search;
  touch(best);
  path.resize(static_cast<std::size_t>(best->node->depth));
  search.found.blocks = std::move(path);
  search.found.tail_block = best->tail_block;
  search.found.slot = best->slot;
  return search;
}

PrefixCache::Node* PrefixCache::make_node(const Sha256& key, Node* parent, std::span<const std::int32_t> tokens, std::int32_t block) {
  const auto [at, fresh] = nodes_.try_emplace(key);
  if (!fresh) return nullptr;  // other tokens of the same name
  Node& node = at->second;
  node.key = key;
  node.parent = parent;
  node.tokens.assign(tokens.begin(), tokens.end());
  node.block = block;
  if (parent != nullptr) {
    node.depth = parent->depth + 1;
    parent->children.push_back(&node);
    blocks_.keep(block);
  }
  return &node;
}

/// The node of all full blocks of `tokens`; null if a name is taken by other tokens.
PrefixCache::Node* PrefixCache::path_to(std::span<const std::int32_t> tokens, const PrefixKeys& keys, std::span<const std::int32_t> table) {
  const std::int64_t blocks = static_cast<std::int64_t>(tokens.size()) / blocks_.tokens_per_block();
  NVLLM_CHECK_GE(keys.blocks(), blocks);
  Node* node = node_at(keys.of(0), nullptr, {});
  if (node == nullptr) node = make_node(keys.of(0), nullptr, {}, -1);
  for (std::int64_t i = 0; node != nullptr && i < blocks; ++i) {
    const std::span<const std::int32_t> block = block_of(tokens, i);
    Node* next = node_at(keys.of(i + 1), node, block);
    if (next == nullptr) next = make_node(keys.of(i + 1), node, block, table[static_cast<std::size_t>(i)]);
    if (next == nullptr) prune(node);
    node = next;
  }
  return node;
}

/// The checkpoint after exactly these tokens, if there is one.
PrefixCache::Checkpoint* PrefixCache::known(std::span<const std::int32_t> tokens, const PrefixKeys& keys) {
  const std::int64_t full = static_cast<std::int64_t>(tokens.size()) / blocks_.tokens_per_block();
  Node* node = node_at(keys.of(0), nullptr, {});
  for (std::int64_t i = 0; node != nullptr && i < full; ++i) node = node_at(keys.of(i + 1), node, block_of(tokens, i));
  if (node == nullptr) return nullptr;
  const auto tail = tokens.subspan(static_cast<std::size_t>(full * blocks_.tokens_per_block()));
  const auto same = std::ranges::find_if(node->checkpoints, [&](const Checkpoint* one) { return std::ranges::equal(one->tail, tail); });
  return same == node->checkpoints.end() ? nullptr : *same;
}

bool PrefixCache::touch_known(std::span<const std::int32_t> tokens, const PrefixKeys& keys) {
  Checkpoint* const same = known(tokens, keys);
  if (same != nullptr) touch(same);
  return same != nullptr;
}

std::optional<StateSlot> PrefixCache::insert(std::span<const std::int32_t> tokens, const PrefixKeys& keys,
                                             std::span<const std::int32_t> table, CheckpointKind kind) {
  if (touch_known(tokens, keys)) return std::nullopt;
  // The slot before the path: what is evicted for it may be part of that.
  std::optional<StateSlot> slot = slots_.take();
  if (!slot && evict_one()) slot = slots_.take();
  if (!slot || insert_slot(*slot, tokens, keys, table, kind)) return slot;
  slots_.give_back(*slot);
  return std::nullopt;
}

bool PrefixCache::insert_slot(StateSlot slot, std::span<const std::int32_t> tokens, const PrefixKeys& keys,
                              std::span<const std::int32_t> table, CheckpointKind kind) {
  if (touch_known(tokens, keys)) return false;
  Node* const node = path_to(tokens, keys, table);
  if (node == nullptr) return false;
  Checkpoint& made = checkpoints_.emplace_back();
  made.node = node;
  made.slot = slot;
  made.precious = kind == CheckpointKind::kLikely;
  node->checkpoints.push_back(&made);
  const auto full = static_cast<std::size_t>(node->depth);
  const auto tail = tokens.subspan(full * static_cast<std::size_t>(blocks_.tokens_per_block()));
  if (tail.empty()) return true;
  made.tail.assign(tail.begin(), tail.end());
  made.tail_block = table[full];
  blocks_.keep(made.tail_block);
  return true;
}

void PrefixCache::touch(Checkpoint* checkpoint) {
  const auto at = std::ranges::find_if(checkpoints_, [&](const Checkpoint& one) { return &one == checkpoint; });
  checkpoint->precious = true;
  checkpoints_.splice(checkpoints_.end(), checkpoints_, at);
}

/// Removes nodes that nothing hangs on any more, from this one upwards.
void PrefixCache::prune(Node* node) {
  while (node != nullptr && node->children.empty() && node->checkpoints.empty()) {
    Node* const parent = node->parent;
    if (parent != nullptr) {
      std::erase(parent->children, node);
      blocks_.let_go(node->block);
    }
    nodes_.erase(node->key);
    node = parent;
  }
}

void PrefixCache::evict(Checkpoints::iterator checkpoint) {
  Node* const node = checkpoint->node;
  if (node->parent != nullptr) remember_evicted(node->key);
  std::erase(node->checkpoints, &*checkpoint);
  if (checkpoint->tail_block >= 0) blocks_.let_go(checkpoint->tail_block);
  slots_.give_back(checkpoint->slot);
  checkpoints_.erase(checkpoint);
  prune(node);
}

bool PrefixCache::evict_one() {
  if (checkpoints_.empty()) return false;
  const auto cheap = std::ranges::find_if(checkpoints_, [](const Checkpoint& one) { return !one.precious; });
  evict(cheap == checkpoints_.end() ? checkpoints_.begin() : cheap);
  ++evictions_;
  return true;
}

void PrefixCache::clear() {
  while (!checkpoints_.empty()) evict(checkpoints_.begin());
  NVLLM_CHECK(nodes_.empty());
  evicted_.clear();
  evicted_order_.clear();
}

void PrefixCache::remember_evicted(const Sha256& key) {
  if (!evicted_.insert(key).second) return;
  evicted_order_.push_back(key);
  if (evicted_order_.size() <= kEvictedMax) return;
  evicted_.erase(evicted_order_.front());
  evicted_order_.pop_front();
}

}  // namespace nvllm::engine
