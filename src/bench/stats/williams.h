#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nvllm::bench {

/// Leg indices in the order in which one round runs them.
using RoundOrder = std::vector<std::int64_t>;

/// A balanced set of orders: every leg is in every position, and follows every other leg, equally
/// often. `legs` rows for an even number, twice as many for an odd one. Each row is followed by its
/// mirror, so that a linear drift cancels after every two rounds and not only after the whole set.
///   Errors: aborts unless legs >= 1.
///   Source: Williams 1949.
std::vector<RoundOrder> williams_orders(std::int64_t legs);

/// The balanced set, repeated until there are `rounds` rows.
std::vector<RoundOrder> round_orders(std::int64_t legs, std::int64_t rounds);

/// By how much a linear drift over the whole session biases each leg, as a share of that drift.
/// AABBCC gives -0.4, 0, +0.4.
///   Shapes: result [legs].
///   Errors: aborts where a leg is missing.
std::vector<double> drift_bias(std::span<const RoundOrder> orders, std::int64_t legs);

}  // namespace nvllm::bench
