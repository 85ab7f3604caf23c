#pragma once

// How the chunks of a prompt are cut into segments that are worked on side by side; the kernels are gated_delta_prefill.cu's.

#include <algorithm>
#include <cstdint>

namespace nvllm::cuda {

inline constexpr int kDeltaChunkTokens = 64;
inline constexpr int kDeltaHeadCtas = 2;        ///< of one value head, where the chunks are gone through in order
inline constexpr int kDeltaSegmentChunks = 8;   ///< at least: with four, 512 tokens are slower than uncut (docs/performance.md)
inline constexpr int kDeltaSegmentsMax = 16;    ///< those products follow one another

constexpr int delta_chunks(std::int64_t tokens) { return static_cast<int>((tokens + kDeltaChunkTokens - 1) / kDeltaChunkTokens); }

/// Into how many segments a prompt is cut: as many as multiprocessors have work with, or 1 where heads alone keep more than half of
/// them busy, since chunks of a segment are gone through twice. A matter of shape, prompt and device alone; a longer prompt never has
/// fewer.
constexpr int delta_segments(std::int64_t value_heads, std::int64_t chunks, std::int64_t multiprocessors) {
  const std::int64_t ctas = value_heads * kDeltaHeadCtas;
  if (2 * ctas > multiprocessors || chunks < 2 * kDeltaSegmentChunks) return 1;
  return static_cast<int>(std::min<std::int64_t>({multiprocessors / ctas, chunks / kDeltaSegmentChunks, kDeltaSegmentsMax}));
}

/// Chunks in segments of `each`, the last of what is left; none is empty, so there may be fewer than were asked for.
struct DeltaCut {
  int each = 0, segments = 0;

  constexpr DeltaCut(int chunks, int segments_max)
      : each((chunks + segments_max - 1) / segments_max), segments((chunks + each - 1) / each) {}
};

}  // namespace nvllm::cuda
