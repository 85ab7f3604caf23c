#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"
#include "tensor/view.h"

struct CUstream_st;

namespace nvllm::cuda {

/// The likeliest token of one row of logits.
struct GreedyChoice {
  std::int32_t id = -1;  ///< the lowest among equals; -1 if a logit is NaN or plus infinity, or all are minus infinity
  float logprob = 0;     ///< log-probability by the softmax of all
};

/// Room for greedy_choices() of so many rows.
class GreedyWorkspace {
 public:
  GreedyWorkspace() = default;
  explicit GreedyWorkspace(std::int64_t rows);
  [[nodiscard]] GreedyChoice* choices() const { return choices_.as<GreedyChoice>(); }
  [[nodiscard]] void* parts() const { return parts_.as<void>(); }

 private:
  DeviceBuffer choices_, parts_;
};

/// Chooses for every row of `logits`, into workspace.choices().
///   Cost: reads the logits once. Sums in an order that only the width decides.
void greedy_choices(View<const float> logits, const GreedyWorkspace& workspace, CUstream_st* stream);

}  // namespace nvllm::cuda
