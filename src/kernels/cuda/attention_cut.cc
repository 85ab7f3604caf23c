#include <algorithm>
#include <cstdint>

#include "kernels/cuda/attention.h"

namespace nvllm::cuda {

namespace {

/// How a form's items are priced.
struct Pricing {
  int least;   // positions
  int step;    // by which an item grows
  int item;    // what it costs besides its positions, in positions: its queries, its sums, and instructions fetched for both
};

Pricing pricing_of(AttentionForm form, int head_dim) {
  const int least = attention_least_tokens(form, head_dim);
  if (form == AttentionForm::kTiles) return {.least = least, .step = least, .item = 512};
  // A warp that ends early leaves its share of the memory to the others: a position costs its bytes, and an item's size
  // is only held to a run for each scheduler of a multiprocessor. What an item costs is some 4 us; a position of FP8
  // takes a multiprocessor 15 ns, its part of 4.6 TB/s.
  return {.least = least, .step = 64, .item = 256};
}

constexpr int round_up(int value, int to) { return (value + to - 1) / to * to; }

}  // namespace

int attention_chunk_tokens(const AttentionGeometry& geometry, AttentionForm form, std::span<const int> lengths, int ctas) {
  const Pricing price = pricing_of(form, geometry.head_dim);
  const int groups = attention_groups(geometry);
  const int longest = lengths.empty() ? 0 : std::ranges::max(lengths);
  int best = price.least;
  std::int64_t best_cost = INT64_MAX;
  for (int pieces = 1, chunk = 0; chunk != price.least && pieces <= attention_chunks_max(geometry); ++pieces) {
    chunk = std::max(price.least, round_up((longest + pieces - 1) / pieces, price.step));
    std::int64_t items = 0;
    for (const int length : lengths) items += static_cast<std::int64_t>((length + chunk - 1) / chunk) * groups;
    const std::int64_t cost = (items + ctas - 1) / ctas * (chunk + price.item);
    if (cost < best_cost) {
      best = chunk;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace nvllm::cuda
