#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace nvllm {

/// How a checkpoint stores a weight matrix. Every format is row-major over [rows, cols].
enum class MatrixFormat {
  kBf16,
  kF16,
  kF32,
  kNvfp4,  ///< E2M1 codes, two to a byte (even column low), one E4M3 scale per 16 columns
  kFp8,    ///< E4M3 codes with float scales
};

/// Which elements share one FP8 scale.
enum class Fp8Scales { kPerTensor, kPerRow, kBlock128 };

/// What is done with an NVFP4 matrix's global scale: ModelOpt multiplies, compressed-tensors divides.
enum class GlobalScale { kMultiplies, kDivides };

/// A weight matrix exactly as its checkpoint stores it. Borrows the bytes; `keep_alive` owns them.
///   Shapes: [rows, cols] = [out, in]; computes y = x · Wᵀ.
struct MatrixSource {
  std::string name;  ///< the module's name, for messages
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  MatrixFormat format = MatrixFormat::kBf16;
  const std::byte* data = nullptr;  ///< possibly unaligned
  // NVFP4 only
  const std::byte* block_scales = nullptr;  ///< E4M3 [rows, cols / 16]
  float global_scale = 1.0f;
  GlobalScale global_scale_rule = GlobalScale::kMultiplies;
  // FP8 only
  Fp8Scales fp8_scales = Fp8Scales::kPerTensor;
  std::vector<float> scales;  ///< 1, [rows], or row-major [ceil(rows/128), ceil(cols/128)]

  std::shared_ptr<const void> keep_alive;
};

/// Bytes the matrix occupies in its file, scales included.
std::int64_t file_bytes(const MatrixSource& matrix);

/// One row as the number format defines it.
///   Rounding: NVFP4 forms the block factor in float (E4M3 scale times, or divided by, the global
///   scale), the product with the code in float, and rounds once to BF16. FP8 multiplies in float
///   and rounds once to BF16. BF16 and F16 are exact; F32 is as stored.
///   Source: compressed-tensors and ModelOpt layouts (docs/nvfp4.md).
void dequantise_row(const MatrixSource& matrix, std::int64_t row, std::span<float> out);

}  // namespace nvllm
