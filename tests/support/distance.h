#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace nvllm::test {

/// How far many numbers are from others.
struct Distance {
  double largest = 0;
  double squares = 0;
  std::int64_t count = 0;

  void add(double difference) {
    largest = std::max(largest, std::abs(difference));
    squares += difference * difference;
    ++count;
  }
  double rms() const { return std::sqrt(squares / static_cast<double>(count)); }
};

}  // namespace nvllm::test
