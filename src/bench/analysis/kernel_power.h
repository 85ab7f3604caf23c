#pragma once

#include <optional>

#include "base/json.h"
#include "bench/analysis/kernels_ab.h"

namespace nvllm::bench {

/// What the boots of a leg could have seen of a typical material kernel: the scatter of one boot
/// (median over these kernels), the smallest change found four times in five, and the chance to
/// show equivalence within `margin` by so many boots. Null where nothing tells the scatter.
///   Units:  `margin` as a share.
Json kernel_power_json(const LegKernels& leg, double margin,
                       const std::optional<BorrowedNoise>& noise);

}  // namespace nvllm::bench
