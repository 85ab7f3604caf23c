#pragma once

// BF16, F16 or F32 weights to NVFP4 (docs/nvfp4.md).

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/matrix_source.h"

namespace nvllm::checkpoint {

/// Columns that share a block scale.
inline constexpr std::int64_t kNvfp4Block = 16;

/// The largest magnitude of a matrix.
///   Errors: Error(kBadFile) naming the module if a weight is NaN or infinite.
float largest_magnitude(const MatrixSource& matrix);

/// The multiplying global scale of a tensor (or of several that share it): the largest magnitude
/// over 6 * 448, rounded up to a power of two. Its reciprocal is then exact, and both layouts
/// dequantise to identical values.
float power_of_two_scale(float magnitude);

/// Quantises one row. `global_scale` multiplies.
///   Shapes: row [cols], codes [cols / 2] bytes, scales [cols / 16] bytes; cols a multiple of 16.
///   Rounding: the block scale to E4M3 first, codes against the rounded scale; nearest, ties to
///   even, saturating at 6. A block of zeros gets scale 1.
void quantise_row(std::span<const float> row, float global_scale, std::span<std::byte> codes,
                  std::span<std::byte> scales);

}  // namespace nvllm::checkpoint
