#pragma once

// What the host works out for a product's kernel, alone or within a larger one.

#include "kernels/cuda/matvec_phase.cuh"

namespace nvllm::cuda {

/// How a product by teams of warps is cut over the device; depends on the matrix, the number of tokens and the device alone.
struct MatvecCut {
  int ctas = 0;         ///< one team each, which takes an equal share of all steps, in order
  int chunks = 0;       ///< of the columns: a step is a chunk of one row tile, one tile a warp
  int parts = 1;        ///< of the columns: as many as x needs to fit shared memory
  int part_chunks = 0;  ///< chunks a part; the last may have fewer
  int slots = 1;        ///< pieces of one row tile at most
  std::int64_t partial_bytes = 0;
};
[[nodiscard]] MatvecCut cut_matvec(std::int64_t row_tiles, std::int64_t cols, std::int64_t tokens, const DeviceFacts& device);

/// Where a call's rows come from and go to; sums are to be multiplied by `factor`.
void fill_places(MatvecPlaces& places, const MatvecCall& call, float factor);

/// The kernel's view of a call.
MatvecArguments matvec_arguments(const MatvecCall& call, const MatvecCut& cut, const MatvecWorkspace& workspace);

/// Shared memory of a call.
template <int kTeams, int kStages>
int matvec_shared_bytes(const MatvecArguments& arguments) {
  return MatvecMemory<kTeams, kStages>::kFixedBytes + arguments.tokens * arguments.stride();
}

}  // namespace nvllm::cuda
