#pragma once

// What the host works out for a product's kernel, alone or within a larger one.

#include <algorithm>
#include <type_traits>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matvec_phase.cuh"

namespace nvllm::cuda {

/// How a product by teams of warps is cut over the device; depends on the matrix, the number of tokens and the device alone.
struct MatvecCut {
  int ctas = 0;         ///< each takes an equal share of all steps, in order
  int chunks = 0;       ///< of the columns: a step is a chunk of one row tile, one tile a warp
  int parts = 1;        ///< of the columns: as many as x needs to fit shared memory
  int part_chunks = 0;  ///< chunks a part; the last may have fewer
  int slots = 1;        ///< pieces of one row tile at most
  std::int64_t partial_bytes = 0;
};
[[nodiscard]] MatvecCut cut_matvec(std::int64_t row_tiles, std::int64_t cols, std::int64_t tokens, const DeviceFacts& device);

/// Where a call's rows come from and go to.
void fill_places(MatvecPlaces& places, const MatvecCall& call);

/// What the kernels of every form are told of a call; the rest is zeros.
template <class Arguments>
Arguments common_arguments(const MatvecCall& call, const MatvecWorkspace& workspace) {
  Arguments a{};
  fill_places(a, call);
  a.tiles = call.w->tiles();
  a.partials = static_cast<decltype(a.partials)>(workspace.partials());
  a.arrivals = workspace.arrivals();
  a.scale_exponent = call.one_row() ? kOneTokenScaleExponent : kScaleExponent;
  a.row_tiles = static_cast<int>(call.w->row_tiles());
  a.col_tiles = static_cast<int>(call.w->col_tiles());
  return a;
}

inline Start start_of(const MatvecCall& call) { return call.early ? Start::kEarly : Start::kAfter; }

/// Deals `steps` out to as many CTAs as have work.
template <class Arguments>
void share_steps(Arguments& a, int steps, int ctas) {
  a.ctas = std::min(ctas, steps);
  a.share = steps / a.ctas;
  a.longer = steps % a.ctas;
  a.by_share = Divisor(a.share);
  a.by_longer_share = Divisor(a.share + 1);
}

/// Calls use(std::integral_constant<MatvecEnd, ...>) for what becomes of a call's sums.
template <class Use>
void with_end(MatvecEnd end, const Use& use) {
  switch (end) {
    case MatvecEnd::kBf16: return use(std::integral_constant<MatvecEnd, MatvecEnd::kBf16>{});
    case MatvecEnd::kFloat: return use(std::integral_constant<MatvecEnd, MatvecEnd::kFloat>{});
    case MatvecEnd::kAdd: return use(std::integral_constant<MatvecEnd, MatvecEnd::kAdd>{});
    case MatvecEnd::kSwiglu: return use(std::integral_constant<MatvecEnd, MatvecEnd::kSwiglu>{});
  }
}

/// The kernel's view of a call.
MatvecArguments matvec_arguments(const MatvecCall& call, const MatvecCut& cut, const MatvecWorkspace& workspace);

/// Shared memory of a call.
inline int matvec_shared_bytes(const MatvecArguments& arguments) {
  return MatvecMemory::kFixedBytes + arguments.tokens * arguments.stride();
}

}  // namespace nvllm::cuda
