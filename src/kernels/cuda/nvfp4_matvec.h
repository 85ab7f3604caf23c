#pragma once

// Products of few rows of activations with an NVFP4 matrix, bound by reading the weights once.

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/cuda/nvfp4_tiles.h"

struct CUstream_st;  // cudaStream_t, so that callers need no CUDA header

namespace nvllm::cuda {

inline constexpr std::int64_t kMatvecTokensMax = 8;

/// What becomes of a sum.
enum class MatvecEnd {
  kBf16,     ///< rounded, [tokens, rows]
  kFloat,    ///< as it is, [tokens, rows]: the output head
  kAdd,      ///< added to floats, [tokens, rows]: the residual stream
  kSwiglu,   ///< silu(gate) * up of a kGateUp matrix, rounded, [tokens, rows / 2]
};

/// A matrix in tile order on the device, and what its products need besides.
class Nvfp4DeviceMatrix {
 public:
  Nvfp4DeviceMatrix() = default;
  explicit Nvfp4DeviceMatrix(const Nvfp4Tiles& tiles);
  /// Random codes and scales made on the device, for measuring.
  static Nvfp4DeviceMatrix random(std::int64_t rows, std::int64_t cols, std::uint64_t seed);

  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t cols() const { return cols_; }
  [[nodiscard]] std::int64_t row_tiles() const { return row_tiles_; }
  [[nodiscard]] std::int64_t col_tiles() const { return col_tiles_; }
  [[nodiscard]] float global_scale() const { return global_scale_; }
  [[nodiscard]] const void* tiles() const { return tiles_.as<void>(); }
  /// Bytes that a product must read.
  [[nodiscard]] std::int64_t bytes() const { return tiles_.bytes(); }

 private:
  std::int64_t rows_ = 0, cols_ = 0, row_tiles_ = 0, col_tiles_ = 0;
  float global_scale_ = 1;
  DeviceBuffer tiles_;
};

/// How a product is cut over the device; depends on the matrix, the number of tokens and the device alone.
struct MatvecCut {
  int ctas = 0, teams = 0;  ///< each team of each CTA takes an equal share of all steps, in order
  int chunks = 0;           ///< of the columns: a step is a chunk of one row tile, one tile a warp
  int parts = 1;            ///< of the columns: as many as x needs to fit shared memory
  int part_chunks = 0;      ///< chunks a part; the last may have fewer
  int slots = 1;            ///< pieces of one row tile at most
  std::int64_t workspace_bytes = 0;
};

/// Sums that more than one team contributes to. One per stream; zeroed once, left zeroed by every product.
class MatvecWorkspace {
 public:
  MatvecWorkspace(std::int64_t partial_bytes, std::int64_t row_tiles);
  [[nodiscard]] void* partials() const { return partials_.as<void>(); }
  [[nodiscard]] unsigned* arrivals() const { return arrivals_.as<unsigned>(); }

 private:
  DeviceBuffer partials_, arrivals_;
};

[[nodiscard]] MatvecCut cut_matvec(std::int64_t rows, std::int64_t cols, std::int64_t tokens, const DeviceFacts& device);

/// out = end(x · Wᵀ).
///   Shapes: x BF16 [tokens, cols]; out as MatvecEnd says. tokens in [1, kMatvecTokensMax].
///   Cost: reads the weights once. Sums are added in an order that only the cut decides: the same bits every time.
///   Errors: Error(kDevice) if the launch fails.
void nvfp4_matvec(void* out, const void* x, std::int64_t tokens, const Nvfp4DeviceMatrix& w, MatvecEnd end,
                  const MatvecCut& cut, const MatvecWorkspace& workspace, CUstream_st* stream);

}  // namespace nvllm::cuda
