#pragma once

// Products of BF16 matrices by the processor's own BF16 dot instruction, which Highway 1.0.3 does
// not reach. The one file of intrinsics.

#include <cstdint>

#include "tensor/dtype.h"

namespace nvllm::cpu {

/// Most rows of weights and of x in one tile.
inline constexpr int kBf16DotRows = 4, kBf16DotTokens = 3;

/// Whether the processor has it (x86 with AVX512-BF16).
bool has_bf16_dot();

/// sums[r * kBf16DotTokens + t] = w row r · x row t.
///   Shapes: w `rows` rows and x `tokens` rows of `cols` numbers, rows `cols` apart; cols a multiple of 32.
///   Rounding: products are exact; each pair is added to a float sum as the instruction does, with
///   denormals as zero. Every sum has two chains, whatever the tile, so its bits do not depend on it.
///   Requires has_bf16_dot().
void bf16_dot_tile(const Bf16* w, int rows, const Bf16* x, int tokens, std::int64_t cols, float* sums);

}  // namespace nvllm::cpu
