#pragma once

// What the host works out for a product by warpgroup instructions, alone or within a larger kernel.

#include "kernels/cuda/matvec_launch.cuh"
#include "kernels/cuda/warpgroup_phase.cuh"

namespace nvllm::cuda {

/// The kernel's view of a call.
PhaseArguments phase_arguments(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace);

[[nodiscard]] MatvecNeeds warpgroup_matvec_needs(const Nvfp4DeviceMatrix& w, const DeviceFacts& device);
[[nodiscard]] std::int64_t warpgroup_matvec_ctas(const Nvfp4DeviceMatrix& w, const DeviceFacts& device);

/// As nvfp4_matvec, for up to kMatvecTokensMax rows on compute capability 9.0.
void warpgroup_matvec(const MatvecCall& call, const DeviceFacts& device, const MatvecWorkspace& workspace, cudaStream_t stream);

}  // namespace nvllm::cuda
