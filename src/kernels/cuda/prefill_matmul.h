#pragma once

// Products of many rows of activations: weights become BF16 a slab at a time, and a library multiplies; or activations
// become NVFP4 as the weights are.

#include <cstdint>
#include <span>

#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/dense_matrix.h"
#include "kernels/cuda/dequantise.h"

struct CUstream_st;

namespace nvllm::cuda {

/// Memory and library of prefill's products; one per stream.
class PrefillScratch {
 public:
  static constexpr std::int64_t kSlabBytes = std::int64_t{36} << 20;     ///< stays in a second-level cache of 50 MB
  static constexpr std::int64_t kLibraryBytes = std::int64_t{32} << 20;  ///< what cuBLASLt may use

  /// `rounds_activations`: to NVFP4, in products with NVFP4.
  explicit PrefillScratch(bool rounds_activations = false, std::int64_t slab_bytes = kSlabBytes);

  [[nodiscard]] bool rounds_activations() const { return rounds_activations_; }
  [[nodiscard]] CublasLt& library() { return library_; }
  [[nodiscard]] void* slab() const { return slab_.as<void>(); }
  [[nodiscard]] std::int64_t slab_bytes() const { return slab_.bytes(); }
  [[nodiscard]] void* workspace() const { return workspace_.as<void>(); }

 private:
  bool rounds_activations_;
  CublasLt library_;
  DeviceBuffer slab_, workspace_;
};

/// out = x · Wᵀ, for any number of tokens.
///   Shapes: x BF16 [tokens, cols], rows x_stride apart (a multiple of 8); out BF16 or float [tokens, rows] by `type`,
///     rows out_stride apart; a kGateUp matrix has one `out` for gate and one for up, other NVFP4 matrices one.
///   Rounding: weights as dequantise_row(), float sums, once to `type`; where the scratch rounds activations, an NVFP4 matrix
///     and `type` kBf16 as round_to_nvfp4() and block_scaled_matmul().
///   Cost: each weight is written and read once as BF16, in the second-level cache where slabs fit. Without cuBLASLt,
///     every 64 rows of x take the weights anew.
///   Errors: Error(kDevice).
void prefill_matmul(std::span<const MatvecTarget> outs, const void* x, std::int64_t x_stride, std::int64_t tokens,
                    const Nvfp4DeviceMatrix& w, ProductType type, PrefillScratch& scratch, CUstream_st* stream);
void prefill_matmul(void* out, std::int64_t out_stride, const void* x, std::int64_t x_stride, std::int64_t tokens, const DenseView& w,
                    ProductType type, PrefillScratch& scratch, CUstream_st* stream);

}  // namespace nvllm::cuda
