#include "bench/stats/williams.h"

#include <algorithm>

#include "base/check.h"

namespace nvllm::bench {

std::vector<RoundOrder> williams_orders(std::int64_t legs) {
  NVLLM_CHECK_LE(1, legs);
  // The zig-zag 0, 1, n-1, 2, n-2, ... steps by every distance once; adding a constant to it moves
  // every leg through every position. For an even number its mirror is one of those rows, for an
  // odd one it is new.
  RoundOrder zig_zag;
  for (std::int64_t i = 0; i < legs; ++i)
    zig_zag.push_back(i % 2 == 1 ? (i + 1) / 2 : (legs - i / 2) % legs);
  const std::int64_t pairs = legs % 2 == 0 ? legs / 2 : legs;
  std::vector<RoundOrder> orders;
  for (std::int64_t shift = 0; shift < pairs; ++shift) {
    RoundOrder order;
    for (const std::int64_t leg : zig_zag) order.push_back((leg + shift) % legs);
    orders.push_back(order);
    if (legs == 1) break;  // its own mirror
    std::reverse(order.begin(), order.end());
    orders.push_back(order);
  }
  return orders;
}

std::vector<RoundOrder> round_orders(std::int64_t legs, std::int64_t rounds) {
  NVLLM_CHECK_LE(0, rounds);
  const std::vector<RoundOrder> set = williams_orders(legs);
  std::vector<RoundOrder> orders;
  for (std::int64_t round = 0; round < rounds; ++round) {
    orders.push_back(set[static_cast<std::size_t>(round) % set.size()]);
  }
  return orders;
}

std::vector<double> drift_bias(std::span<const RoundOrder> orders, std::int64_t legs) {
  std::vector<double> sums(static_cast<std::size_t>(legs));
  std::vector<double> counts(static_cast<std::size_t>(legs));
  double slot = 0;
  for (const RoundOrder& order : orders) {
    for (const std::int64_t leg : order) {
      NVLLM_CHECK(leg >= 0 && leg < legs);
      sums[static_cast<std::size_t>(leg)] += slot;
      counts[static_cast<std::size_t>(leg)] += 1;
      slot += 1;
    }
  }
  std::vector<double> bias;
  const double last = slot - 1;
  for (std::size_t leg = 0; leg < sums.size(); ++leg) {
    NVLLM_CHECK_LT(0.0, counts[leg]);
    bias.push_back(last > 0 ? (sums[leg] / counts[leg] - last / 2) / last : 0);
  }
  return bias;
}

}  // namespace nvllm::bench
