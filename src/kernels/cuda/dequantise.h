#pragma once

// Rows of a matrix as BF16, for products that read them more than once.

#include <cstdint>

#include "kernels/cuda/dense_matrix.h"
#include "kernels/cuda/nvfp4_matvec.h"

struct CUstream_st;

namespace nvllm::cuda {

/// Rows [begin, end) of a matrix; of a kGateUp matrix, rows of its gate and the same rows of its up half.
struct RowRange {
  std::int64_t begin = 0, end = 0;
};

/// What `begin` must be a multiple of.
inline constexpr std::int64_t kDequantiseRowsUnit = 32;

/// Rows of an NVFP4 matrix, alone or gate and up laid together, as dequantise_row() defines them.
///   Shapes: out BF16 [rows of the range, out_stride], of a kGateUp matrix [2 * rows of the range, out_stride]: gate, then up.
///     out_stride a multiple of 16 and at least cols; columns from cols to the end of the last tile become zeros.
///   Rounding: E4M3 scale times global scale in float, times the code in float, once to BF16. A zero scale gives +0.
///   Cost: 0.5625 bytes read and 2 written for each weight.
///   Errors: Error(kDevice) if the launch fails.
void dequantise(void* out, std::int64_t out_stride, const Nvfp4DeviceMatrix& w, RowRange range, CUstream_st* stream);

/// All rows of an FP8 view.
///   Shapes: out BF16 [rows, w.stride].
void dequantise(void* out, const DenseView& w, CUstream_st* stream);

}  // namespace nvllm::cuda
