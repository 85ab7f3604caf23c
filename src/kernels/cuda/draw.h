#pragma once

// Drawing tokens from logits on the device, so that rows of a vocabulary need not travel.

#include <cstdint>
#include <limits>

#include "kernels/cuda/device.h"
#include "kernels/cuda/greedy.h"
#include "kernels/cuda/stream.h"
#include "tensor/view.h"

namespace nvllm::cuda {

/// One draw from a row of logits: temperature, min_p, top_k, top_p in this order, then one uniform
/// number.
struct DrawTask {
  std::int32_t row = 0;    ///< of the logits
  std::int32_t top_k = 0;  ///< 0: all
  float scale = 1;         ///< one over the temperature
  /// Kept is what lies at most so far below the largest, scaled: -ln(min_p).
  float farthest = std::numeric_limits<float>::infinity();
  double top_p = 1;
  double uniform = 0;  ///< in [0, 1)
};

/// What was drawn.
struct DrawnToken {
  std::int32_t id = -1;  ///< -1 if a logit is NaN or plus infinity, or all are minus infinity
  float logprob = 0;     ///< log-probability by the softmax of all logits as they are
};

/// Tasks on their way to the device, and tokens on their way back.
class DrawWorkspace {
 public:
  DrawWorkspace() = default;
  explicit DrawWorkspace(std::int64_t tasks_max);
  /// To be filled before draw_tokens(), [tasks_max].
  [[nodiscard]] DrawTask* tasks() const { return host_tasks_.as<DrawTask>(); }
  /// What draw_tokens() drew, once the stream has been waited for, [tasks_max].
  [[nodiscard]] const DrawnToken* tokens() const { return host_tokens_.as<DrawnToken>(); }
  /// The same on the device, for work that is queued after it.
  [[nodiscard]] const DrawnToken* tokens_on_device() const { return tokens_.as<DrawnToken>(); }

 private:
  friend void draw_tokens(View<const float> logits, const GreedyChoice* choices,
                          const DrawWorkspace& workspace, std::int64_t first, std::int64_t count,
                          CUstream_st* stream);
  PinnedBuffer host_tasks_, host_tokens_;
  DeviceBuffer tasks_, tokens_;
};

/// Draws for `count` tasks of the workspace from the first given. `choices` are the greedy ones of
/// every row, on the device.
///   Weights are whole numbers of 2^-40 of the largest, so that sums have no order: a draw depends
///   on its row and task alone. The token is the one at which the sum over kept tokens, in order of
///   id, passes `uniform` of the whole.
///   Cost: one CTA a task reads its row some five to ten times,
///   from the second-level cache.
void draw_tokens(View<const float> logits, const GreedyChoice* choices,
                 const DrawWorkspace& workspace, std::int64_t first, std::int64_t count,
                 CUstream_st* stream);

}  // namespace nvllm::cuda
