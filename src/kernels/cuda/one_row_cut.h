#pragma once

// How the tiles of a matrix are dealt out to the CTAs of a product of one row; the kernel's side is one_row_phase.cuh.

#include <algorithm>
#include <cstdint>

namespace nvllm::cuda {

/// CTA i owns row tiles i * owned to (i + 1) * owned - 1. The tiles of the row tiles left over, row tile after row tile, are cut
/// into a run a CTA: the first `longer` CTAs have share + 1, the others `share`. A run is never longer than a row tile, so that
/// at most one row tile begins in it and at most one piece of it is another CTA's to end.
struct OneRowCut {
  int ctas = 0;  ///< at most one a multiprocessor, and each has a tile
  int owned = 0;
  int share = 0, longer = 0;

  OneRowCut(std::int64_t row_tiles, std::int64_t col_tiles, std::int64_t multiprocessors)
      : ctas(static_cast<int>(std::min(multiprocessors, row_tiles * col_tiles))), owned(static_cast<int>(row_tiles / ctas)) {
    const std::int64_t left = (row_tiles - std::int64_t{owned} * ctas) * col_tiles;
    share = static_cast<int>(left / ctas);
    longer = static_cast<int>(left % ctas);
  }
};

}  // namespace nvllm::cuda
