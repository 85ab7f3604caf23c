#include "engine/reservation.h"

#include <gtest/gtest.h>

namespace nvllm::engine {
namespace {

TEST(Reservation, TakesBlocksAndSlotTogetherAndGivesBothBack) {
  KvBlocks blocks(4, 16);
  StateSlots slots(2);
  {
    auto memory = Reservation::take(blocks, slots, 33);
    ASSERT_TRUE(memory);
    EXPECT_EQ(memory->blocks().size(), 3u);
    EXPECT_EQ(blocks.free(), 1);
    EXPECT_EQ(slots.free(), 1);
  }
  EXPECT_EQ(blocks.free(), 4);
  EXPECT_EQ(slots.free(), 2);
}

TEST(Reservation, TakesNeitherWhenOneIsLacking) {
  KvBlocks blocks(4, 16), few(1, 16);
  StateSlots slots(1), none(0);
  EXPECT_FALSE(Reservation::take(few, slots, 33));
  EXPECT_EQ(slots.free(), 1);
  EXPECT_FALSE(Reservation::take(blocks, none, 33));
  EXPECT_EQ(blocks.free(), 4);
}

TEST(Reservation, GrowsOnlyWhenItCan) {
  KvBlocks blocks(2, 16);
  StateSlots slots(1);
  auto memory = Reservation::take(blocks, slots, 1);
  ASSERT_TRUE(memory);
  EXPECT_TRUE(memory->grow_to(16));
  EXPECT_EQ(memory->blocks().size(), 1u);
  EXPECT_TRUE(memory->grow_to(17));
  EXPECT_FALSE(memory->grow_to(33));
  EXPECT_EQ(memory->blocks().size(), 2u);
}

TEST(Reservation, MovesWithoutGivingBack) {
  KvBlocks blocks(2, 16);
  StateSlots slots(1);
  auto first = Reservation::take(blocks, slots, 1);
  const Reservation second = std::move(*first);
  first.reset();
  EXPECT_EQ(blocks.free(), 1);
  EXPECT_EQ(slots.free(), 0);
}

TEST(StateSlots, EveryTenancyHasAnEpochOfItsOwn) {
  StateSlots slots(1);
  const auto first = slots.take();
  ASSERT_TRUE(first);
  slots.give_back(*first);
  const auto second = slots.take();
  ASSERT_TRUE(second);
  EXPECT_EQ(first->index, second->index);
  EXPECT_NE(first->epoch, second->epoch);
  EXPECT_FALSE(slots.take());
}

TEST(StateSlotsDeathTest, ASlotGivenBackTwiceAborts) {
  StateSlots slots(2);
  const auto slot = slots.take();
  slots.give_back(*slot);
  EXPECT_DEATH(slots.give_back(*slot), "check failed");
}

}  // namespace
}  // namespace nvllm::engine
