#pragma once

// Products by the processor's own BF16 dot instruction, which Highway 1.0.3 does not reach: the only
// intrinsics of the room are in the two files *_dot.cc.
//
// An NVFP4 weight, code times block scale, has at most six significant bits and an FP8 code four: both are
// BF16 numbers. So there is one arithmetic here: products of the weights with x as it is are exact, and a
// sum is sixteen chains of dots along K, whatever the number of rows or tokens (decision 0004).

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/matmul_formats.h"
#include "tensor/dtype.h"

namespace nvllm::cpu {

/// Whether the processor multiplies BF16 pairs by itself (x86 with AVX512-BF16).
bool has_bf16_dot();

/// What its dot instruction does at the most: one pass multiplies `vectors` vectors of x (32 numbers
/// each, a multiple of sixteen vectors) by one of the eight of w.
///   Returns: a value that depends on every product.
///   Requires has_bf16_dot(); both aligned to 64.
float bf16_dots(const Bf16* w, const Bf16* x, std::int64_t vectors, std::int64_t passes);

// ---- shared by the three products -------------------------------------------------------------

inline constexpr std::int64_t kDotLanes = 16;       // sums of one instruction
inline constexpr std::int64_t kDotCols = 32;        // columns it consumes
inline constexpr std::int64_t kDotRowBlock = 8;     // rows of weights in one go
/// Columns in one go; expand_dot stores x as [column blocks, tokens, columns of the block]. 24 rows of x,
/// eight of BF16 weights and their sums fill 44 KiB of first-level cache; NVFP4 weights take less.
constexpr std::int64_t dot_col_block(PackedFormat format) { return format == PackedFormat::kNvfp4Dot ? 1024 : 512; }

/// Whether a tile begins its sums or goes on with those of the columns before.
enum class DotSumsAre { kFresh, kCarried };

/// Unfinished sums of a block of rows and tokens.
struct DotSums {
  alignas(64) float lanes[kDotRowBlock * kTokenBlock * kDotLanes];

  float* at(std::int64_t row, std::int64_t token) { return lanes + (row * kTokenBlock + token) * kDotLanes; }
};

/// The sum of an output's sixteen lanes, in the one order there is for it.
float sum_of_dots(const float* lanes);

/// Hands the sums of rows and tokens, times `scale`, to the sink.
void finish_dots(DotSums& sums, std::int64_t first_row, std::int64_t rows, std::int64_t first_token, std::int64_t tokens,
                 float scale, const Sink& sink);

/// Calls `use(begin, count)` for pieces of [0, tokens) of nearly equal size, at most `most` each: a small
/// last piece would have too few chains to hide the latency of a dot.
template <class Use>
void in_even_pieces(std::int64_t tokens, std::int64_t most, Use&& use) {
  const std::int64_t pieces = (tokens + most - 1) / most;
  for (std::int64_t i = 0; i < pieces; ++i) {
    const std::int64_t begin = i * tokens / pieces, end = (i + 1) * tokens / pieces;
    use(begin, end - begin);
  }
}

// One block of at most kDotRowBlock rows by tokens [first, first + tokens) of x's `all_tokens`.
void bf16_dot_block(const PackedMatrix& w, std::int64_t row, std::int64_t rows, const Bf16* x, std::int64_t all_tokens,
                    std::int64_t first, std::int64_t tokens, const Sink& sink);
void fp8_dot_block(const PackedMatrix& w, std::int64_t row, std::int64_t rows, const Bf16* x, std::int64_t all_tokens,
                   std::int64_t first, std::int64_t tokens, const Sink& sink);
void nvfp4_dot_block(const PackedMatrix& w, std::int64_t row, std::int64_t rows, const Bf16* x, std::int64_t all_tokens,
                     std::int64_t first, std::int64_t tokens, const Sink& sink);
/// All of `rows` by a single row of x.
void nvfp4_dot_one(const PackedMatrix& w, const Bf16* x, Share::Range rows, const Sink& sink);

}  // namespace nvllm::cpu
