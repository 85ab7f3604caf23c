#include "engine/kv_blocks.h"

#include "base/check.h"
#include "base/units.h"

namespace nvllm::engine {

KvBlocks::KvBlocks(std::int64_t count, std::int64_t tokens_per_block)
    : total_(count), tokens_per_block_(tokens_per_block), taken_(static_cast<std::size_t>(count), false) {
  for (std::int64_t block = count; block-- > 0;) free_.push_back(static_cast<std::int32_t>(block));
}

std::int64_t KvBlocks::blocks_for(std::int64_t tokens) const { return ceil_div(tokens, tokens_per_block_); }

bool KvBlocks::take(std::int64_t count, std::vector<std::int32_t>& table) {
  if (count > free()) return false;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t block = free_.back();
    free_.pop_back();
    taken_[static_cast<std::size_t>(block)] = true;
    table.push_back(block);
  }
  return true;
}

void KvBlocks::give_back(std::vector<std::int32_t>& table) {
  for (const std::int32_t block : table) {
    NVLLM_CHECK(taken_[static_cast<std::size_t>(block)]);
    taken_[static_cast<std::size_t>(block)] = false;
    free_.push_back(block);
  }
  table.clear();
}

}  // namespace nvllm::engine
