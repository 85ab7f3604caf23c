#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/analysis/aggregate.h"
#include "bench/stats/order_test.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {

/// The expected order of the legs in one folder.
struct FolderOrder {
  std::vector<double> values;  ///< ms per token, in the expected order
  std::optional<OrderTest> test;
  std::optional<double> joint_probability;  ///< by resampling rounds; two rounds or more
  std::string untested_because;
};

/// The order gate's evidence in both folders.
struct LegOrder {
  const Gate* gate = nullptr;
  bool borrowed = false;
  FolderOrder baseline, candidate;
};

/// Tests an order gate's expectation in both folders.
LegOrder test_leg_order(const Gate& gate, const Sweep& sweep, const std::vector<LegAggregate>& legs);

Json to_json(const LegOrder& order);

}  // namespace nvllm::bench
