#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace nvllm::engine {

/// Numbers of the KV blocks and how many hold each: sequences, of which several may share a block, and the prefix
/// cache. A block that nobody holds is free. Knows nothing of the memory behind them.
class KvBlocks {
 public:
  /// `tokens_per_block` positions fit in one block.
  KvBlocks(std::int64_t count, std::int64_t tokens_per_block);

  std::int64_t total() const { return static_cast<std::int64_t>(holds_.size()); }
  std::int64_t free() const { return static_cast<std::int64_t>(free_.size()); }
  bool is_free(std::int32_t block) const { return of(block).sequences == 0 && of(block).cached == 0; }
  bool is_used(std::int32_t block) const { return of(block).sequences > 0; }
  /// Blocks that some sequence holds.
  std::int64_t used() const { return used_; }
  /// Blocks that only the prefix cache holds: they are free once it lets go of them.
  std::int64_t cached() const { return total() - free() - used_; }
  std::int64_t tokens_per_block() const { return tokens_per_block_; }
  /// Blocks that hold `tokens` positions.
  std::int64_t blocks_for(std::int64_t tokens) const;

  /// Appends `count` blocks to `table`, or does nothing and returns false if fewer are free.
  [[nodiscard]] bool take(std::int64_t count, std::vector<std::int32_t>& table);
  /// One more sequence holds a block that is not free.
  void share(std::int32_t block);
  /// A sequence lets go of every block of `table`, which is empty then. A block given back too often is a bug.
  void give_back(std::vector<std::int32_t>& table);
  /// The prefix cache holds a block that is not free, once more.
  void keep(std::int32_t block);
  /// Ends one keep().
  void let_go(std::int32_t block);

 private:
  struct Holds {
    std::int32_t sequences = 0, cached = 0;
  };
  const Holds& of(std::int32_t block) const;
  Holds& of(std::int32_t block) { return const_cast<Holds&>(std::as_const(*this).of(block)); }
  void free_if_unheld(std::int32_t block);

  std::int64_t tokens_per_block_;
  std::int64_t used_ = 0;
  std::vector<std::int32_t> free_;
  std::vector<Holds> holds_;
};

}  // namespace nvllm::engine
