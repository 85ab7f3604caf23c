#pragma once

// How the chunks of a prompt are cut into segments that are worked on side by side; the kernels are gated_delta_prefill.cu's.

#include <algorithm>
#include <cstdint>

namespace nvllm::cuda {

inline constexpr int kDeltaChunkTokens = 64;
inline constexpr int kDeltaHeadCtas = 2;        ///< of one value head, where the chunks are gone through in order
inline constexpr int kDeltaSegmentChunks = 8;   ///< at least, and
inline constexpr int kDeltaSegmentsMin = 3;     ///< of them: with less there is nothing to gain (docs/performance.md)
inline constexpr int kDeltaSegmentsMax = 16;    ///< from one to the next their products follow one another

constexpr int delta_chunks(std::int64_t tokens) { return static_cast<int>((tokens + kDeltaChunkTokens - 1) / kDeltaChunkTokens); }

/// Into how many segments a prompt is cut: as many as multiprocessors have work with, or 1 where that is too few, since chunks of a
/// segment are gone through twice. A matter of shape, prompt and device alone; a longer prompt never has fewer.
constexpr int delta_segments(std::int64_t value_heads, std::int64_t chunks, std::int64_t multiprocessors) {
  const std::int64_t ctas = value_heads * kDeltaHeadCtas;
  const auto segments = std::min<std::int64_t>({multiprocessors / ctas, chunks / kDeltaSegmentChunks, kDeltaSegmentsMax});
  return segments < kDeltaSegmentsMin ? 1 : static_cast<int>(segments);
}

/// Chunks in segments of `each`, the last of what is left; none is empty, so there may be fewer than were asked for.
struct DeltaCut {
  int each = 0, segments = 0;

  constexpr DeltaCut(int chunks, int segments_max)
      : each((chunks + segments_max - 1) / segments_max), segments((chunks + each - 1) / each) {}
};

}  // namespace nvllm::cuda
