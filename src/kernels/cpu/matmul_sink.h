#pragma once

#include <cstdint>
#include <span>

#include "tensor/dtype.h"
#include "tensor/view.h"

namespace nvllm::cpu {

/// Receives the finished sums of a matrix product. Exactly one of the two views is set.
struct Sink {
  View<Bf16> rounded;
  View<float> exact;
  std::span<const float> bias;

  void put(std::int64_t token, std::int64_t row, float sum) const {
    if (!bias.empty()) sum += bias[static_cast<std::size_t>(row)];
    if (rounded.data != nullptr) {
      rounded.row(token)[row] = to_bf16(sum);
    } else {
      exact.row(token)[row] = sum;
    }
  }
};

}  // namespace nvllm::cpu
