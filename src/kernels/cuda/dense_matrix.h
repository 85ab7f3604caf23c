#pragma once

// Matrices that are not NVFP4, on the device, and their products with few rows of activations.

#include <cstdint>

#include "kernels/cuda/device.h"
#include "tensor/matrix_source.h"

struct CUstream_st;  // cudaStream_t, so that callers need no CUDA header

namespace nvllm::cuda {

inline constexpr std::int64_t kDenseTokensMax = 64;
/// Rows are filled up with zeros to a multiple of so many columns, which is also how many share an FP8 scale.
inline constexpr std::int64_t kDenseColsUnit = 128;

enum class DenseFormat {
  kBf16,
  kFp8,  ///< E4M3 codes with a float scale for each row and each 128 columns
};

/// Some rows of a matrix on the device, borrowed.
struct DenseView {
  const void* data = nullptr;     ///< [rows, stride] row-major, 16-byte aligned; zeros from cols on
  const float* scales = nullptr;  ///< kFp8: [rows, stride / 128]
  DenseFormat format = DenseFormat::kBf16;
  std::int64_t rows = 0, cols = 0, stride = 0;  ///< stride is a multiple of kDenseColsUnit
  bool fresh = false;  ///< made on the device, perhaps by the kernel just before: not to be read early

  /// Rows [begin, end).
  [[nodiscard]] DenseView slice(std::int64_t begin, std::int64_t end) const;
  /// Whether it has the format and shape of another, so that one launch multiplies by both.
  [[nodiscard]] bool pairs_with(const DenseView& other) const;
};

/// A BF16, F16, F32 (the latter two rounded once to BF16) or FP8 matrix on the device.
///   Errors: Error(kDevice) if there is not enough memory.
class DenseDeviceMatrix {
 public:
  DenseDeviceMatrix() = default;
  explicit DenseDeviceMatrix(const MatrixSource& source);
  /// Numbers in (-1, 1) made on the device, for measuring.
  static DenseDeviceMatrix random(DenseFormat format, std::int64_t rows, std::int64_t cols, std::uint64_t seed);

  [[nodiscard]] std::int64_t rows() const { return view_.rows; }
  [[nodiscard]] std::int64_t cols() const { return view_.cols; }
  /// Bytes that a product must read.
  [[nodiscard]] std::int64_t bytes() const { return data_.bytes() + scales_.bytes(); }
  [[nodiscard]] const DenseView& view() const { return view_; }
  [[nodiscard]] DenseView slice(std::int64_t begin, std::int64_t end) const { return view_.slice(begin, end); }
  operator const DenseView&() const { return view_; }

 private:
  DenseDeviceMatrix(DenseFormat format, std::int64_t rows, std::int64_t cols);

  DeviceBuffer data_, scales_;
  DenseView view_;
};

/// What becomes of a sum.
enum class DenseEnd {
  kBf16,   ///< rounded
  kFloat,  ///< as it is: the output head
  kAdd,    ///< rounded, and added to a BF16 residual: out = bf16(out + bf16(sum))
};

/// out = end(x · Wᵀ + bias).
///   Shapes: x BF16 [tokens, cols] with rows x_stride apart (a multiple of 8, x 16-byte aligned); out [tokens, rows] with
///     rows out_stride apart; bias float [rows] or null. tokens in [1, kDenseTokensMax].
///   Cost: reads the weights once for each 32 rows of x.
///   Rounding: weights are the BF16 values of dequantise_row(); float sums whose order depends on the matrix's shape alone, so a
///     row's bits do not depend on what else is in its batch.
///   Errors: Error(kDevice) if the launch fails.
void dense_matvec(void* out, std::int64_t out_stride, const void* x, std::int64_t x_stride, std::int64_t tokens, const DenseView& w,
                  DenseEnd end, CUstream_st* stream, const float* bias = nullptr);

/// One of two products of the same x.
struct DenseProductPart {
  void* out = nullptr;
  std::int64_t out_stride = 0;
  DenseView w{};
};
/// Both at once, rounded to BF16: what dense_matvec() gives of each, in one launch. Their matrices must pair.
void dense_matvec_of_two(const DenseProductPart& first, const DenseProductPart& second, const void* x, std::int64_t x_stride,
                         std::int64_t tokens, CUstream_st* stream);

}  // namespace nvllm::cuda
