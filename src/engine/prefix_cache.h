#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/kv_blocks.h"
#include "engine/prefix_keys.h"
#include "engine/state_slots.h"

namespace nvllm::engine {

/// A cached beginning of a sequence: what to go on from, and how much of it.
struct CachedPrefix {
  std::int64_t tokens = 0;              ///< 0: nothing to go on from
  std::vector<std::int32_t> blocks;     ///< the full ones, in order; may be shared as they are
  std::int32_t tail_block = -1;         ///< of the tokens after them; to be copied. -1: there are none
  StateSlot slot;                       ///< the recurrent state after `tokens`; to be copied
};

/// What a search came to.
struct PrefixSearch {
  CachedPrefix found;
  std::int64_t known_tokens = 0;  ///< leading tokens that some cached sequence has too, with a state to go on from or not
  bool was_evicted = false;       ///< a longer beginning was here once
};

/// How likely it is that somebody goes on from a checkpoint. Spare ones are the first to go, until somebody did.
enum class CheckpointKind { kLikely, kSpare };

/// Which beginnings of sequences can be gone on from: KV blocks and the recurrent state after them, together. Blocks form a
/// tree, a node for each full block, found by PrefixKeys and compared token by token, so that no collision gives a
/// wrong answer; a checkpoint hangs on a node, with up to a block of further tokens and a slot that keeps the state.
/// Bookkeeping only: whoever asks copies slots and blocks. Borrows both pools.
class PrefixCache {
 public:
  PrefixCache(KvBlocks& blocks, StateSlots& slots) : blocks_(blocks), slots_(slots) {}
  ~PrefixCache() { clear(); }
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  /// The longest beginning of at most `limit` tokens that can be gone on from. `keys` are of `tokens`.
  ///   Cost: one look-up for each full block that is known.
  PrefixSearch find(std::span<const std::int32_t> tokens, const PrefixKeys& keys, std::int64_t limit);

  /// Keeps the state after `tokens`, whose KV lie in `table`. Makes room by evicting other checkpoints.
  ///   Returns: the slot that the state is to be copied to; nothing if it is known already or there is no slot.
  std::optional<StateSlot> insert(std::span<const std::int32_t> tokens, const PrefixKeys& keys,
                                  std::span<const std::int32_t> table, CheckpointKind kind);

  /// The same with a slot that holds the state already.
  ///   Returns: whether the slot now belongs to the cache.
  [[nodiscard]] bool insert_slot(StateSlot slot, std::span<const std::int32_t> tokens, const PrefixKeys& keys,
                                 std::span<const std::int32_t> table, CheckpointKind kind);

  /// Lets go of the checkpoint that is worth least; false if there is none.
  bool evict_one();
  /// Lets go of everything, and forgets what was evicted.
  void clear();

  std::int64_t checkpoints() const { return static_cast<std::int64_t>(checkpoints_.size()); }
  std::int64_t evictions() const { return evictions_; }

 private:
  struct Checkpoint;
  /// One full block of tokens after those of its parent; the root of a salt has none.
  struct Node {
    Sha256 key{};
    Node* parent = nullptr;
    std::vector<std::int32_t> tokens;
    std::int32_t block = -1;
    std::int64_t depth = 0;  ///< full blocks from the root
    std::vector<Node*> children;
    std::vector<Checkpoint*> checkpoints;
  };
  struct Checkpoint {
    Node* node = nullptr;
    std::vector<std::int32_t> tail;
    std::int32_t tail_block = -1;
    StateSlot slot;
    bool precious = false;  ///< likely, or gone on from at least once
  };
  struct KeyHash {
    std::size_t operator()(const Sha256& key) const;
  };
  using Checkpoints = std::list<Checkpoint>;

  Node* node_at(const Sha256& key, const Node* parent, std::span<const std::int32_t> tokens);
  Node* make_node(const Sha256& key, Node* parent, std::span<const std::int32_t> tokens, std::int32_t block);
  bool touch_known(std::span<const std::int32_t> tokens, const PrefixKeys& keys);
  Checkpoint* known(std::span<const std::int32_t> tokens, const PrefixKeys& keys);
  Node* path_to(std::span<const std::int32_t> tokens, const PrefixKeys& keys, std::span<const std::int32_t> table);
  void prune(Node* node);
  void evict(Checkpoints::iterator checkpoint);
  void touch(Checkpoint* checkpoint);
  void remember_evicted(const Sha256& key);
  std::span<const std::int32_t> block_of(std::span<const std::int32_t> tokens, std::int64_t index) const;

  KvBlocks& blocks_;
  StateSlots& slots_;
  std::unordered_map<Sha256, Node, KeyHash> nodes_;
  Checkpoints checkpoints_;  ///< least recently used first
  std::unordered_set<Sha256, KeyHash> evicted_;
  std::deque<Sha256> evicted_order_;
  std::int64_t evictions_ = 0;
};

}  // namespace nvllm::engine
