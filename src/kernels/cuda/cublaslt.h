#pragma once

// NVIDIA's library of matrix products, opened where it is installed; nothing of nvllm is linked with it.

#include <cstdint>
#include <memory>
#include <string>

struct CUstream_st;

namespace nvllm::cuda {

/// What a product's sums become.
enum class ProductType { kBf16, kFloat };

/// One product out = x · Wᵀ of row-major BF16 matrices.
struct DenseProduct {
  void* out = nullptr;      ///< [tokens, rows]
  const void* x = nullptr;  ///< BF16 [tokens, cols]
  const void* w = nullptr;  ///< BF16 [rows, cols]
  std::int64_t tokens = 0, rows = 0, cols = 0;
  std::int64_t out_stride = 0, x_stride = 0, w_stride = 0;  ///< elements from row to row
  ProductType type = ProductType::kBf16;
};

class CublasLt {
 public:
  /// Opens the library; where it cannot, why_not() is one sentence that says so.
  ///   Cost: tens of milliseconds and the library's memory.
  CublasLt();
  CublasLt(CublasLt&&) noexcept;
  CublasLt& operator=(CublasLt&&) noexcept;
  ~CublasLt();

  [[nodiscard]] bool usable() const { return why_not_.empty(); }
  [[nodiscard]] const std::string& why_not() const { return why_not_; }

  /// Sums in float. The algorithm is the library's first for the shape, chosen once for each and kept, so the same
  /// shape gives the same bits. Not to be called from several threads at once.
  ///   Errors: Error(kDevice) if the library refuses.
  void multiply(const DenseProduct& product, void* workspace, std::int64_t workspace_bytes, CUstream_st* stream);

 private:
  struct Library;
  std::unique_ptr<Library> library_;
  std::string why_not_;
};

}  // namespace nvllm::cuda
