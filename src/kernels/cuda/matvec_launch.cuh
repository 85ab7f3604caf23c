#pragma once

// What the host works out for a product's kernel, alone or within a larger one.

#include "kernels/cuda/matvec_phase.cuh"

namespace nvllm::cuda {

/// The kernel's view of a call.
MatvecArguments matvec_arguments(const MatvecCall& call, const MatvecCut& cut, const MatvecWorkspace& workspace);

/// Shared memory of a call.
template <int kTeams, int kStages>
int matvec_shared_bytes(const MatvecArguments& arguments) {
  return MatvecMemory<kTeams, kStages>::kFixedBytes + arguments.tokens * arguments.stride();
}

}  // namespace nvllm::cuda
