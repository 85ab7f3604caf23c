#pragma once

namespace nvllm::bench {

/// A closed interval of plausible values. Both ends are in the unit of what it was made from.
struct Interval {
  double low = 0;
  double high = 0;
};

}  // namespace nvllm::bench
