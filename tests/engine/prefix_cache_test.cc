#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>

namespace nvllm::engine {
namespace {

constexpr std::int64_t kBlock = 4;

std::vector<std::int32_t> count_up(std::int32_t first, std::int64_t count) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), first);
  return out;
}

std::vector<std::int32_t> joined(std::vector<std::int32_t> a, const std::vector<std::int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Sequences without an engine: what they would compute is put into the cache.
class PrefixCacheTest : public testing::Test {
 protected:
  PrefixKeys keys(const std::vector<std::int32_t>& tokens) const {
    PrefixKeys out(salt_, kBlock, hash_);
    out.extend(tokens);
    return out;
  }
  /// Puts a sequence's state in and lets the sequence end.
  std::optional<StateSlot> put(const std::vector<std::int32_t>& tokens, CheckpointKind kind = CheckpointKind::kLikely) {
    std::vector<std::int32_t> table;
    EXPECT_TRUE(blocks_.take(blocks_.blocks_for(static_cast<std::int64_t>(tokens.size())), table));
    const auto slot = cache_.insert(tokens, keys(tokens), table, kind);
    blocks_.give_back(table);
    return slot;
  }
  PrefixSearch find(const std::vector<std::int32_t>& tokens) {
    return cache_.find(tokens, keys(tokens), static_cast<std::int64_t>(tokens.size()) - 1);
  }

  std::string salt_ = "salt";
  PrefixKeys::Hash hash_ = sha256;
  KvBlocks blocks_{64, kBlock};
  StateSlots slots_{8};
  PrefixCache cache_{blocks_, slots_};
};

TEST_F(PrefixCacheTest, FindsTheLongestBeginningAtAnyPosition) {
  for (std::int64_t length = 1; length <= 12; ++length) {
    cache_.clear();
    const auto slot = put(count_up(0, length));
    ASSERT_TRUE(slot);
    const CachedPrefix found = find(count_up(0, 20)).found;
    EXPECT_EQ(found.tokens, length);
    EXPECT_EQ(found.slot.index, slot->index);
    EXPECT_EQ(static_cast<std::int64_t>(found.blocks.size()), length / kBlock);
    EXPECT_EQ(found.tail_block >= 0, length % kBlock != 0);
  }
  put(count_up(0, 5));
  put(count_up(0, 9));
  EXPECT_EQ(find(count_up(0, 9)).found.tokens, 5);  // the last token of a prompt is always computed
  EXPECT_EQ(find(count_up(0, 10)).found.tokens, 9);
  EXPECT_EQ(find(joined(count_up(0, 9), {77, 78, 79, 80})).found.tokens, 9);
}

TEST_F(PrefixCacheTest, TellsHowFarAPromptIsKnown) {
  put(count_up(0, 11));
  for (std::int64_t same = 0; same <= 11; ++same) {
    const PrefixSearch search = find(joined(count_up(0, same), count_up(500, 6)));
    EXPECT_EQ(search.known_tokens, same);
    EXPECT_EQ(search.found.tokens, same == 11 ? 11 : 0);
  }
}

TEST_F(PrefixCacheTest, KeepsBlocksUntilEviction) {
  put(count_up(0, 10));
  EXPECT_EQ(blocks_.cached(), 3);
  EXPECT_EQ(blocks_.used(), 0);
  put(joined(count_up(0, 8), {90, 91, 92}));  // shares two full blocks
  EXPECT_EQ(blocks_.cached(), 4);
  EXPECT_TRUE(cache_.evict_one());
  EXPECT_EQ(blocks_.cached(), 3);
  EXPECT_TRUE(cache_.evict_one());
  EXPECT_FALSE(cache_.evict_one());
  EXPECT_EQ(blocks_.free(), 64);
  EXPECT_EQ(slots_.free(), 8);
}

TEST_F(PrefixCacheTest, EvictsSpareStatesFirstThenTheLeastRecentlyUsed) {
  put(count_up(0, 8));
  put(count_up(100, 8), CheckpointKind::kSpare);
  put(count_up(200, 8), CheckpointKind::kSpare);
  put(count_up(300, 8));
  EXPECT_EQ(find(joined(count_up(200, 8), {1, 2})).found.tokens, 8);  // somebody went on from it
  EXPECT_EQ(find(joined(count_up(0, 8), {1, 2})).found.tokens, 8);
  const auto evicted = [&](std::int32_t first) { return find(joined(count_up(first, 8), {3})).found.tokens == 0; };
  cache_.evict_one();
  EXPECT_TRUE(evicted(100));
  cache_.evict_one();
  EXPECT_TRUE(evicted(300));
}

TEST_F(PrefixCacheTest, SaysThatABeginningWasEvicted) {
  put(count_up(0, 9));
  EXPECT_FALSE(find(count_up(500, 12)).was_evicted);
  cache_.evict_one();
  EXPECT_TRUE(find(count_up(0, 12)).was_evicted);
  EXPECT_FALSE(find(count_up(500, 12)).was_evicted);
  cache_.clear();
  EXPECT_FALSE(find(count_up(0, 12)).was_evicted);
}

TEST_F(PrefixCacheTest, MakesRoomForANewStateAndKeepsNoStateTwice) {
  for (std::int32_t i = 0; i < 12; ++i) EXPECT_TRUE(put(count_up(100 * i, 6)));
  EXPECT_EQ(cache_.checkpoints(), 8);
  EXPECT_FALSE(put(count_up(1100, 6)));
  EXPECT_EQ(cache_.checkpoints(), 8);
  EXPECT_EQ(find(count_up(0, 7)).found.tokens, 0);
  EXPECT_EQ(find(count_up(400, 7)).found.tokens, 6);
}

TEST_F(PrefixCacheTest, TakesOverTheSlotOfASequenceThatEnds) {
  const StateSlot own = *slots_.take();
  std::vector<std::int32_t> table;
  ASSERT_TRUE(blocks_.take(2, table));
  const auto tokens = count_up(0, 7);
  EXPECT_TRUE(cache_.insert_slot(own, tokens, keys(tokens), table, CheckpointKind::kLikely));
  EXPECT_FALSE(cache_.insert_slot(own, tokens, keys(tokens), table, CheckpointKind::kLikely));
  EXPECT_EQ(find(count_up(0, 8)).found.slot.epoch, own.epoch);
  blocks_.give_back(table);
}

TEST_F(PrefixCacheTest, SharesNothingAcrossSalts) {
  put(count_up(0, 9));
  salt_ = "sal";
  EXPECT_EQ(find(count_up(0, 12)).known_tokens, 0);
  EXPECT_EQ(find(count_up(0, 12)).found.tokens, 0);
}

TEST_F(PrefixCacheTest, GivesNoWrongAnswerWhenNamesCollide) {
  // Eight bits of name: almost every new block meets another one of its name.
  hash_ = [](std::span<const std::byte> bytes) { return Sha256{sha256(bytes)[0]}; };
  std::map<std::int32_t, std::vector<std::int32_t>> of_slot;
  std::uint64_t counter = 0;
  const auto random = [&](std::uint64_t below) { return static_cast<std::int32_t>(random_bits(9, counter++) % below); };
  std::int64_t hits = 0;
  for (int i = 0; i < 200000; ++i) {
    std::vector<std::int32_t> tokens;
    for (std::int32_t length = 1 + random(14); length > 0; --length) tokens.push_back(random(2));
    const CachedPrefix found = find(tokens).found;
    if (found.tokens > 0) {
      ++hits;
      const auto& kept = of_slot.at(found.slot.index);
      ASSERT_EQ(static_cast<std::int64_t>(kept.size()), found.tokens);
      ASSERT_TRUE(std::equal(kept.begin(), kept.end(), tokens.begin()));
    }
    if (const auto slot = put(tokens)) of_slot[slot->index] = tokens;
  }
  EXPECT_GT(hits, 1000);
  cache_.clear();
  EXPECT_EQ(blocks_.free(), 64);
}

}  // namespace
}  // namespace nvllm::engine
