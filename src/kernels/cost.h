#pragma once

// Bytes and operations of each word, as pure functions. Micro-benchmarks, profiles and reports all
// divide by these, so every timing is also a share of a roofline.

#include <cstdint>

#include "kernels/segment.h"

namespace nvllm {

/// What one call must move and compute at the least.
struct Cost {
  std::int64_t bytes = 0;
  std::int64_t multiply_adds = 0;

  friend Cost operator+(Cost a, Cost b) {
    return {a.bytes + b.bytes, a.multiply_adds + b.multiply_adds};
  }
  friend bool operator==(Cost, Cost) = default;
};

/// A matrix of `weight_bytes` (codes and scales) applied to `tokens` rows of 2-byte activations.
constexpr Cost matmul_cost(std::int64_t tokens, std::int64_t rows, std::int64_t cols, std::int64_t weight_bytes) {
  return {weight_bytes + tokens * (rows + cols) * 2, tokens * rows * cols};
}

/// Reads and writes of an elementwise word over `elements`, two bytes each.
constexpr Cost elementwise_cost(std::int64_t elements, std::int64_t reads, std::int64_t writes) {
  return {elements * 2 * (reads + writes), elements};
}

/// Attention of one sequence: `tokens` new rows after `start` old ones, `kv_bytes` each element of the cache.
constexpr Cost attention_cost(const AttentionShape& s, std::int64_t start, std::int64_t tokens, std::int64_t kv_bytes = 2) {
  const std::int64_t pairs = tokens * start + tokens * (tokens + 1) / 2;
  return {(start + tokens) * s.kv_heads * s.head_dim * 2 * kv_bytes + tokens * s.heads * s.head_dim * 2 * 2,
          2 * pairs * s.heads * s.head_dim};
}

/// The delta rule of one sequence: the state is read and written once, whatever the token count.
constexpr Cost delta_rule_cost(const DeltaShape& s, std::int64_t tokens, std::int64_t state_bytes = 4) {
  return {2 * s.recurrent_elements() * state_bytes + tokens * (s.channels() + s.value_heads * s.value_dim) * 2,
          4 * tokens * s.recurrent_elements()};
}

/// The causal convolution of one sequence.
constexpr Cost causal_conv_cost(const DeltaShape& s, std::int64_t tokens) {
  return {2 * s.conv_elements() * 2 + s.conv_taps * s.channels() * 4 + 2 * tokens * s.channels() * 2,
          tokens * s.conv_taps * s.channels()};
}

}  // namespace nvllm
