#pragma once

// Inputs that the chunked delta rule may get wrong: segments with and without a past, ragged last chunks,
// heads that forget at once next to heads that forget nothing, and tokens that do either on their own.

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/kernel_fixture.h"

namespace nvllm::test {

struct DeltaCase {
  static constexpr std::int64_t kRows = 188, kSlots = 5, kUnusedSlot = 3, kLongest = 101;

  DeltaShape shape;
  std::vector<Segment> segments{{.first_row = 0, .token_count = 101, .start = 0, .slot = 2, .blocks = {}},
                                {.first_row = 101, .token_count = 70, .start = 9, .slot = 0, .blocks = {}},
                                {.first_row = 171, .token_count = 1, .start = 5, .slot = 4, .blocks = {}},
                                {.first_row = 172, .token_count = 16, .start = 128, .slot = 1, .blocks = {}}};
  HostRows qkv, b, a;
  std::vector<float> a_log, dt_bias;
  std::vector<float> state;  ///< of all slots before the step

  explicit DeltaCase(std::int64_t ratio)
      : shape{.key_heads = 2, .value_heads = 2 * ratio, .key_dim = 24, .value_dim = 40, .conv_taps = 4},
        qkv(HostRows::random(kRows, shape.channels(), 60)),
        b(HostRows::random(kRows, shape.value_heads, 61, 4.0f)),
        a(HostRows::random(kRows, shape.value_heads, 62, 2.0f)),
        dt_bias(random_floats(shape.value_heads, 63)),
        state(random_floats(kSlots * shape.recurrent_elements(), 64)) {
    // From rates of 6e-6, which forget nothing in a chunk, to rates of 400, which forget all in a token.
    for (std::int64_t h = 0; h < shape.value_heads; ++h) {
      a_log.push_back(-12.0f + 18.0f * static_cast<float>(h) / static_cast<float>(shape.value_heads - 1));
    }
    // Every 7th token forgets (a softplus of 30), and every 5th does not (1e-13), whatever the head's rate.
    for (std::int64_t row = 0; row < kRows; ++row) {
      for (std::int64_t h = 0; h < shape.value_heads; ++h) {
        if (row % 7 == 3) a.view().row(row)[h] = to_bf16(30.0f);
        if (row % 5 == 1) a.view().row(row)[h] = to_bf16(-30.0f);
      }
    }
    // A fresh sequence's slot holds what its last tenant left.
    std::fill_n(state.begin() + 2 * shape.recurrent_elements(), shape.recurrent_elements(), std::nanf(""));
  }

  /// Gates whose sigmoid is what BF16 makes of the sigmoid of b: what backends that round there use.
  ReferenceRows rounded_gates() const {
    ReferenceRows out(b);
    for (double& gate : out.data) {
      const double beta = round_to_bf16(1.0f / (1.0f + std::exp(-static_cast<float>(gate))));
      gate = std::log(beta / (1.0 - beta));
    }
    return out;
  }
};

/// Outputs and states of a run in double.
struct DeltaResult {
  ReferenceRows out;
  std::vector<double> state;

  explicit DeltaResult(const DeltaCase& c)
      : out(DeltaCase::kRows, c.shape.value_heads * c.shape.value_dim), state(c.state.begin(), c.state.end()) {}
  DeltaContext<ReferenceOps> context(const DeltaCase& c) {
    return {c.shape, c.segments, {nullptr, state.data(), DeltaCase::kSlots}};
  }
};

/// The recurrence: what every chunked form is held against.
inline DeltaResult recurrence(const DeltaCase& c) {
  DeltaResult result(c);
  ReferenceRows qkv(c.qkv), b = c.rounded_gates(), a(c.a);
  ReferenceOps().delta_rule(result.out.view(), qkv.view(), b.view(), a.view(), c.a_log, c.dt_bias, result.context(c));
  return result;
}

/// How far two orders of the same sums may lie apart. Per token, an element is made of key_dim products
/// twice and of up to `chunk_tokens` products once, rounded at each addition. A token's error enters a
/// state that only ever shrinks what it holds (|1 - β k̂ k̂ᵀ| <= 1, decays <= 1), so those of `kLongest`
/// tokens add up and do not grow. Roundings are of values up to `largest`, spread evenly over ± `unit` of
/// them (a deviation of 0.58) and independent; 4 deviations cover the largest of some thousand elements.
inline double chunked_tolerance(const DeltaCase& c, double unit, std::int64_t chunk_tokens) {
  double largest = 1;  // values reach 1
  for (const float s : c.state) largest = std::max(largest, std::isnan(s) ? 0.0 : std::abs(double{s}));
  const std::int64_t sums = 2 * c.shape.key_dim + std::min(chunk_tokens, DeltaCase::kLongest);
  return 4 * 0.58 * unit * largest * std::sqrt(static_cast<double>(sums * DeltaCase::kLongest));
}

}  // namespace nvllm::test
