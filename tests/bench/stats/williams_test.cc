#include "bench/stats/williams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace nvllm::bench {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

TEST(WilliamsOrders, OfThreeLegsAreTheSixOrders) {
  EXPECT_THAT(williams_orders(3),
              UnorderedElementsAre(RoundOrder{0, 1, 2}, RoundOrder{1, 2, 0}, RoundOrder{2, 0, 1},
                                   RoundOrder{2, 1, 0}, RoundOrder{0, 2, 1}, RoundOrder{1, 0, 2}));
}

TEST(WilliamsOrders, OfThreeLegsBeginWithTheShortestAcceptablePair) {
  EXPECT_THAT(round_orders(3, 2), ElementsAre(RoundOrder{0, 1, 2}, RoundOrder{2, 1, 0}));
}

TEST(WilliamsOrders, BalancePositionsAndPredecessors) {
  for (std::int64_t legs = 1; legs <= 9; ++legs) {
    const std::vector<RoundOrder> orders = williams_orders(legs);
    EXPECT_EQ(static_cast<std::int64_t>(orders.size()),
              legs % 2 == 0 || legs == 1 ? legs : 2 * legs);
    std::map<std::pair<std::int64_t, std::int64_t>, int> positions;
    std::map<std::pair<std::int64_t, std::int64_t>, int> predecessors;
    for (const RoundOrder& order : orders) {
      ASSERT_EQ(static_cast<std::int64_t>(order.size()), legs);
      for (std::size_t i = 0; i < order.size(); ++i) {
        ++positions[{order[i], static_cast<std::int64_t>(i)}];
        if (i > 0) ++predecessors[{order[i - 1], order[i]}];
      }
    }
    const int each = legs % 2 == 0 || legs == 1 ? 1 : 2;
    EXPECT_EQ(static_cast<std::int64_t>(positions.size()), legs * legs);
    for (const auto& [key, count] : positions) EXPECT_EQ(count, each) << legs;
    EXPECT_EQ(static_cast<std::int64_t>(predecessors.size()), legs * (legs - 1));
    for (const auto& [key, count] : predecessors) EXPECT_EQ(count, each) << legs;
  }
}

TEST(RoundOrders, RepeatTheSet) {
  const std::vector<RoundOrder> orders = round_orders(2, 5);
  EXPECT_THAT(orders, ElementsAre(RoundOrder{0, 1}, RoundOrder{1, 0}, RoundOrder{0, 1},
                                  RoundOrder{1, 0}, RoundOrder{0, 1}));
}

TEST(DriftBias, ReproducesThePrintedSequences) {
  // "a drift of 1 % over the session": per cent here is the share of that drift.
  const std::vector<RoundOrder> blocks = {{0, 0, 1, 1, 2, 2}};
  EXPECT_THAT(drift_bias(blocks, 3),
              ElementsAre(DoubleNear(-0.4, 1e-12), DoubleNear(0, 1e-12), DoubleNear(0.4, 1e-12)));
  const std::vector<RoundOrder> turns = {{0, 1, 2}, {0, 1, 2}};
  EXPECT_THAT(drift_bias(turns, 3),
              ElementsAre(DoubleNear(-0.2, 1e-12), DoubleNear(0, 1e-12), DoubleNear(0.2, 1e-12)));
  const std::vector<RoundOrder> mirrored = {{0, 1, 2}, {2, 1, 0}};
  EXPECT_THAT(drift_bias(mirrored, 3),
              ElementsAre(DoubleNear(0, 1e-12), DoubleNear(0, 1e-12), DoubleNear(0, 1e-12)));
}

TEST(RoundOrders, CancelALinearDriftAfterEveryEvenNumberOfRounds) {
  for (std::int64_t legs = 1; legs <= 6; ++legs) {
    for (std::int64_t rounds = 2; rounds <= 12; rounds += 2) {
      for (const double bias : drift_bias(round_orders(legs, rounds), legs)) {
        EXPECT_NEAR(bias, 0, 1e-12) << legs << " legs, " << rounds << " rounds";
      }
    }
  }
}

}  // namespace
}  // namespace nvllm::bench
