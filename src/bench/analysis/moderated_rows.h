#pragma once

#include <vector>

#include "bench/analysis/kernels_ab.h"

namespace nvllm::bench {

/// Fills `moderated` of every row that was tested by rounds of its own. Material kernels are one
/// class and the rest another: the small ones scatter by other rules. A class of fewer than three
/// rows has nothing to lend.
void add_moderated(std::vector<KernelComparison>& rows);

}  // namespace nvllm::bench
