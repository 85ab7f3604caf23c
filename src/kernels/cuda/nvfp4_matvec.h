#pragma once

// Products of few rows of activations with an NVFP4 matrix, bound by reading the weights once.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/nvfp4_tiles.h"
#include "kernels/cuda/step_table.h"
#include "tensor/dtype.h"

struct CUstream_st;  // cudaStream_t, so that callers need no CUDA header

namespace nvllm::cuda {

inline constexpr std::int64_t kMatvecTokensMax = 128;  ///< of one launch
inline constexpr std::int64_t kMatvecNormTokensMax = 8;  ///< with a norm in front or BF16 rows beside it, or within a phrase
inline constexpr int kMatvecOutputsMax = 4, kMatvecDenseMax = 2;

/// What becomes of a sum. Each is rounded to BF16 first, but for kFloat.
enum class MatvecEnd {
  kBf16,     ///< stored
  kFloat,    ///< stored as it is: the output head
  kAdd,      ///< added to BF16, and rounded again: the residual stream
  kSwiglu,   ///< of gate and up rows laid together (RowOrder::kGateUp): silu(gate), rounded, times up, rounded
};

/// One or more matrices of equally many columns in tile order on the device, stacked; the tiles of each begin
/// a row tile of their own. Copies share the tiles.
class Nvfp4DeviceMatrix {
 public:
  Nvfp4DeviceMatrix() = default;
  explicit Nvfp4DeviceMatrix(const Nvfp4Tiles& tiles);
  /// Packs on the device.  Errors: Error(kBadFile) for a scale that is NaN; Error(kDevice).
  Nvfp4DeviceMatrix(std::span<const MatrixSource> files, RowOrder order);
  /// Random codes and scales made on the device, for measuring.
  static Nvfp4DeviceMatrix random(const std::vector<std::int64_t>& part_rows, std::int64_t cols, RowOrder order, std::uint64_t seed);
  static Nvfp4DeviceMatrix random(std::int64_t rows, std::int64_t cols, std::uint64_t seed);

  /// One of the stacked matrices by itself. Not for RowOrder::kGateUp.
  [[nodiscard]] Nvfp4DeviceMatrix part(std::size_t index) const;

  [[nodiscard]] const std::vector<Nvfp4Part>& parts() const { return parts_; }
  [[nodiscard]] RowOrder order() const { return order_; }
  [[nodiscard]] std::int64_t rows() const;  ///< of all parts
  [[nodiscard]] std::int64_t cols() const { return cols_; }
  [[nodiscard]] std::int64_t row_tiles() const { return row_tiles_; }
  [[nodiscard]] std::int64_t col_tiles() const { return col_tiles_; }
  [[nodiscard]] const std::byte* tiles() const { return tiles_->as<std::byte>() + first_byte_; }
  /// Bytes that a product must read.
  [[nodiscard]] std::int64_t bytes() const { return row_tiles_ * col_tiles_ * kTileBytes; }

 private:
  std::vector<Nvfp4Part> parts_;
  std::int64_t cols_ = 0, row_tiles_ = 0, col_tiles_ = 0, first_byte_ = 0;
  RowOrder order_ = RowOrder::kPlain;
  std::shared_ptr<DeviceBuffer> tiles_;
};

/// What products need besides their matrices.
struct MatvecNeeds {
  std::int64_t partial_bytes = 0, arrivals = 0;
  std::int64_t image_bytes = 0;  ///< of many rows of x in the order in which a kernel takes them

  /// Makes it enough for `others` too.
  void cover(const MatvecNeeds& others);
};

/// Sums that more than one CTA contributes to. One per stream; zeroed once, left ready by every product.
class MatvecWorkspace {
 public:
  MatvecWorkspace() = default;
  explicit MatvecWorkspace(const MatvecNeeds& needs);
  [[nodiscard]] void* partials() const { return partials_.as<void>(); }
  [[nodiscard]] void* images() const { return images_.as<void>(); }
  [[nodiscard]] unsigned* arrivals() const { return arrivals_.as<unsigned>(); }

 private:
  DeviceBuffer partials_, images_, arrivals_;
};

/// What products with this matrix need, whatever the number of tokens.
[[nodiscard]] MatvecNeeds matvec_needs(const Nvfp4DeviceMatrix& w, const DeviceFacts& device);
/// CTAs of a product with this matrix: so many BF16 rows may be multiplied beside it.
[[nodiscard]] std::int64_t matvec_ctas(const Nvfp4DeviceMatrix& w, const DeviceFacts& device);

/// Where one part's sums go: rows of two tokens are `stride` elements apart.
struct MatvecTarget {
  void* to = nullptr;
  std::int64_t stride = 0;
};

/// BF16 rows [rows, cols] that are multiplied by the same x as a matrix is.
struct MatvecDenseRows {
  const Bf16* weights = nullptr;
  std::int64_t rows = 0;
  MatvecTarget out{};
};

/// A product and what is done on its way.
struct MatvecCall {
  const Bf16* x = nullptr;  ///< [tokens, cols], rows `x_stride` apart; aligned to 16 bytes, both
  std::int64_t x_stride = 0, tokens = 0;
  const Nvfp4DeviceMatrix* w = nullptr;
  MatvecEnd end = MatvecEnd::kBf16;
  MatvecTarget out[kMatvecOutputsMax]{};  ///< of each part; kSwiglu has one
  DeviceNorm norm{};                    ///< of the rows of x, before the product; not with kAdd, and neither is `dense`
  MatvecDenseRows dense[kMatvecDenseMax]{};  ///< together at most matvec_ctas() rows
  bool early = true;                    ///< the kernel may start while the one ahead ends
  bool alone_as_in_company = false;     ///< a single row goes the way of several, whose bits do not depend on their number

  /// Whether a single row goes its own, faster way.
  [[nodiscard]] bool one_row() const { return tokens == 1 && !alone_as_in_company; }
  /// The same call, its single row on the way of several.
  [[nodiscard]] MatvecCall in_company() const {
    MatvecCall call = *this;
    call.alone_as_in_company = true;
    return call;
  }
};

/// Rows of x up to which nvfp4_matvec() is faster than making BF16 of the weights first (prefill_matmul.h).
[[nodiscard]] std::int64_t matvec_tokens_max(const DeviceFacts& device);

/// out = end(norm(x) · Wᵀ), for any number of rows of x. One launch for each kMatvecTokensMax of them on compute capability 9.0,
/// elsewhere for each eight.
///   Cost: reads the weights once a launch. Sums are added in an order that only the matrix and the device decide: the same
///   bits every time, and for more than one row whatever the number of rows.
///   Errors: Error(kDevice) if the launch fails.
void nvfp4_matvec(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, CUstream_st* stream);

/// Whether products are made by warpgroups (warpgroup_phase.cuh) and not by teams of warps (matvec_phase.cuh).
[[nodiscard]] bool has_warpgroups(const DeviceFacts& device);

}  // namespace nvllm::cuda
