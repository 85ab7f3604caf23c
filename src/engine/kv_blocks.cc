#include "engine/kv_blocks.h"

#include "base/check.h"
#include "base/units.h"

namespace nvllm::engine {

KvBlocks::KvBlocks(std::int64_t count, std::int64_t tokens_per_block)
    : tokens_per_block_(tokens_per_block), holds_(static_cast<std::size_t>(count)) {
  for (std::int64_t block = count; block-- > 0;) free_.push_back(static_cast<std::int32_t>(block));
}

std::int64_t KvBlocks::blocks_for(std::int64_t tokens) const { return ceil_div(tokens, tokens_per_block_); }

const KvBlocks::Holds& KvBlocks::of(std::int32_t block) const {
  NVLLM_CHECK(block >= 0 && block < total());
  return holds_[static_cast<std::size_t>(block)];
}

bool KvBlocks::take(std::int64_t count, std::vector<std::int32_t>& table) {
  if (count > free()) return false;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t block = free_.back();
    free_.pop_back();
    of(block).sequences = 1;
    table.push_back(block);
  }
  used_ += count;
  return true;
}

void KvBlocks::share(std::int32_t block) {
  NVLLM_CHECK(!is_free(block));
  if (of(block).sequences++ == 0) ++used_;
}

void KvBlocks::give_back(std::vector<std::int32_t>& table) {
  for (const std::int32_t block : table) {
    NVLLM_CHECK_GE(of(block).sequences, 1);
    if (--of(block).sequences > 0) continue;
    --used_;
    free_if_unheld(block);
  }
  table.clear();
}

void KvBlocks::keep(std::int32_t block) {
  NVLLM_CHECK(!is_free(block));
  ++of(block).cached;
}

void KvBlocks::let_go(std::int32_t block) {
  NVLLM_CHECK_GE(of(block).cached, 1);
  --of(block).cached;
  free_if_unheld(block);
}

void KvBlocks::free_if_unheld(std::int32_t block) {
  if (is_free(block)) free_.push_back(block);
}

}  // namespace nvllm::engine
