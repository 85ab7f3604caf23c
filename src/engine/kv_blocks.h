#pragma once

#include <cstdint>
#include <vector>

namespace nvllm::engine {

/// Numbers of the KV blocks that are free. Knows nothing of the memory behind them.
class KvBlocks {
 public:
  /// `tokens_per_block` positions fit in one block.
  KvBlocks(std::int64_t count, std::int64_t tokens_per_block);

  std::int64_t total() const { return total_; }
  std::int64_t free() const { return static_cast<std::int64_t>(free_.size()); }
  std::int64_t tokens_per_block() const { return tokens_per_block_; }
  /// Blocks that hold `tokens` positions.
  std::int64_t blocks_for(std::int64_t tokens) const;

  /// Appends `count` blocks to `table`, or does nothing and returns false if fewer are free.
  [[nodiscard]] bool take(std::int64_t count, std::vector<std::int32_t>& table);
  /// Takes back every block of `table` and empties it. A block given back twice is a bug.
  void give_back(std::vector<std::int32_t>& table);

 private:
  std::int64_t total_;
  std::int64_t tokens_per_block_;
  std::vector<std::int32_t> free_;
  std::vector<bool> taken_;
};

}  // namespace nvllm::engine
