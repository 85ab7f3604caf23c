#pragma once

// What the host works out for a product of a single row of x, alone or within a larger kernel.

#include "kernels/cuda/matvec_launch.cuh"
#include "kernels/cuda/one_row_phase.cuh"

namespace nvllm::cuda {

/// The kernel's view of a call, with rings of `slots` places and shared memory laid out as it says.
OneRowArguments one_row_arguments(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace,
                                  const OneRowMemory& memory, int slots);

/// Slots a ring, `most` at most, for so many warps, that fit `bytes` of shared memory beside a row of so many
/// column tiles and the rest; none if there is no room for two.
[[nodiscard]] int one_row_slots(int multiply_warps, std::int64_t col_tiles, int bytes, int most);

/// Whether the row leaves room for rings in shared memory.
[[nodiscard]] bool one_row_fits(const MatvecCall& call, const DeviceFacts& device);

/// As nvfp4_matvec, for one row that fits.
void one_row_matvec(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, cudaStream_t stream);

}  // namespace nvllm::cuda
