#include "engine/kv_blocks.h"

#include <gtest/gtest.h>

#include <set>

namespace nvllm::engine {
namespace {

TEST(KvBlocks, HandsOutEveryBlockOnceAndTakesAllBack) {
  KvBlocks blocks(5, 16);
  std::vector<std::int32_t> a, b;
  ASSERT_TRUE(blocks.take(3, a));
  ASSERT_TRUE(blocks.take(2, b));
  std::set<std::int32_t> seen(a.begin(), a.end());
  seen.insert(b.begin(), b.end());
  EXPECT_EQ(seen, (std::set<std::int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(blocks.free(), 0);
  blocks.give_back(a);
  blocks.give_back(b);
  EXPECT_EQ(blocks.free(), 5);
  EXPECT_TRUE(a.empty());
}

TEST(KvBlocks, TakesNothingWhenTooFewAreFree) {
  KvBlocks blocks(2, 16);
  std::vector<std::int32_t> table;
  EXPECT_FALSE(blocks.take(3, table));
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(blocks.free(), 2);
}

TEST(KvBlocks, CountsPartialBlocksAsWhole) {
  KvBlocks blocks(1, 16);
  EXPECT_EQ(blocks.blocks_for(0), 0);
  EXPECT_EQ(blocks.blocks_for(1), 1);
  EXPECT_EQ(blocks.blocks_for(16), 1);
  EXPECT_EQ(blocks.blocks_for(17), 2);
}

TEST(KvBlocks, AreFreeOnceNeitherSequencesNorTheCacheHoldThem) {
  KvBlocks blocks(3, 16);
  std::vector<std::int32_t> a, b;
  ASSERT_TRUE(blocks.take(2, a));
  b.push_back(a[0]);
  blocks.share(a[0]);
  blocks.keep(a[1]);
  blocks.keep(a[1]);
  EXPECT_EQ(blocks.used(), 2);
  blocks.give_back(a);
  EXPECT_EQ(blocks.used(), 1);
  EXPECT_EQ(blocks.cached(), 1);
  EXPECT_EQ(blocks.free(), 1);
  const std::int32_t shared = b[0], kept = shared == 0 ? 1 : 0;
  EXPECT_TRUE(blocks.is_used(shared));
  EXPECT_FALSE(blocks.is_used(kept));
  blocks.give_back(b);
  blocks.let_go(kept);
  EXPECT_FALSE(blocks.is_free(kept));
  blocks.let_go(kept);
  EXPECT_EQ(blocks.free(), 3);
}

TEST(KvBlocksDeathTest, SharingAFreeBlockAborts) {
  KvBlocks blocks(1, 16);
  EXPECT_DEATH(blocks.share(0), "check failed");
}

TEST(KvBlocksDeathTest, ABlockGivenBackTwiceAborts) {
  KvBlocks blocks(2, 16);
  std::vector<std::int32_t> table;
  ASSERT_TRUE(blocks.take(1, table));
  std::vector<std::int32_t> copy = table;
  blocks.give_back(table);
  EXPECT_DEATH(blocks.give_back(copy), "check failed");
}

}  // namespace
}  // namespace nvllm::engine
