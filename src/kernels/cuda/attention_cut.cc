#include <algorithm>
#include <cstdint>

#include "kernels/cuda/attention.h"

namespace nvllm::cuda {

int attention_chunk_tokens(const AttentionGeometry& geometry, std::span<const int> lengths, int ctas) {
  // What an item costs besides its positions, in positions: its queries, its sums, and instructions fetched for both.
  constexpr std::int64_t kItemTokens = 512;
  const int tile = attention_tile_tokens(geometry.head_dim), groups = attention_groups(geometry);
  const int longest = lengths.empty() ? 0 : std::ranges::max(lengths);
  int best = tile;
  std::int64_t best_cost = INT64_MAX;
  for (int pieces = 1, chunk = 0; chunk != tile; ++pieces) {
    chunk = std::max(tile, ((longest + pieces - 1) / pieces + tile - 1) / tile * tile);
    std::int64_t items = 0;
    for (const int length : lengths) items += static_cast<std::int64_t>((length + chunk - 1) / chunk) * groups;
    const std::int64_t cost = (items + ctas - 1) / ctas * (chunk + kItemTokens);
    if (cost < best_cost) {
      best = chunk;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace nvllm::cuda
