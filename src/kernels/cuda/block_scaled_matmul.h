#pragma once

// Products of many rows of activations with an NVFP4 matrix, both sides in NVFP4 and multiplied as such: for devices of
// compute capability 12.1, which do that three to four times as fast as BF16.

#include <cstdint>
#include <span>

#include "kernels/cuda/nvfp4_matvec.h"
#include "kernels/cuda/nvfp4_rows.h"

struct CUstream_st;

namespace nvllm::cuda {

/// Whether the device multiplies NVFP4 by itself; on others block_scaled_matmul() spells it out, slowly.
[[nodiscard]] bool multiplies_nvfp4(const DeviceFacts& device);

/// out = x · Wᵀ, for any number of rows of x.
///   Shapes: x of w's columns; out BF16 [tokens, rows]; a kGateUp matrix has one `out` for gate and one for up, other matrices one.
///   Rounding: codes and block scales multiply exactly; float sums, 64 columns after 64; once to BF16 with the row's factor and
///     the matrix's scale. The device's own order of sums within 64 columns is not documented.
///   Errors: Error(kDevice) if the launch fails.
void block_scaled_matmul(std::span<const MatvecTarget> outs, const Nvfp4Rows& x, std::int64_t tokens, const Nvfp4DeviceMatrix& w,
                         CUstream_st* stream);

}  // namespace nvllm::cuda
