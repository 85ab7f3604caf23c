#pragma once

// Matrices that are kept as rows of BF16, and their products with few or many rows of x.

#include <cstdint>

#include "kernels/cuda/device.h"
#include "tensor/dtype.h"
#include "tensor/matrix_source.h"
#include "tensor/view.h"

struct CUstream_st;

namespace nvllm::cuda {

/// A matrix as BF16 rows on the device, [rows, cols]. F16 and F32 are rounded once, FP8 as dequantise_row() says.
class DenseDeviceMatrix {
 public:
  explicit DenseDeviceMatrix(const MatrixSource& file);
  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t cols() const { return cols_; }
  [[nodiscard]] const Bf16* data() const { return values_.as<Bf16>(); }
  [[nodiscard]] std::int64_t bytes() const { return values_.bytes(); }
  /// Bytes on the device of a matrix with these extents.
  [[nodiscard]] static std::int64_t bytes_of(const MatrixSource& file) { return file.rows * file.cols * 2; }

 private:
  std::int64_t rows_, cols_;
  DeviceBuffer values_;
};

/// out = x · Wᵀ, rounded or as floats.
///   Cost: reads the weights once for every eight rows of x. A row's bits do not depend on how many there are.
void dense_product(View<Bf16> out, View<const Bf16> x, const DenseDeviceMatrix& w, CUstream_st* stream);
void dense_product(View<float> out, View<const Bf16> x, const DenseDeviceMatrix& w, CUstream_st* stream);

}  // namespace nvllm::cuda
