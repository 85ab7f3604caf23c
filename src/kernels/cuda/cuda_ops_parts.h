#pragma once

// What the words and the phrases of CudaOps share.

#include "kernels/cost.h"
#include "kernels/cuda/cuda_ops.h"

namespace nvllm {

inline cuda::DeviceNorm device_norm(const NormWeights& norm) {
  return {.gain = norm.gain.data(),
          .epsilon = norm.epsilon,
          .zero_centred = norm.style == NormStyle::kZeroCentred};
}

inline cuda::MatvecTarget target(View<Bf16> view) { return {view.data, view.stride}; }

inline cuda::AttentionGeometry geometry_of(const AttentionShape& shape, std::int64_t block_tokens) {
  return {.heads = static_cast<int>(shape.heads),
          .kv_heads = static_cast<int>(shape.kv_heads),
          .head_dim = static_cast<int>(shape.head_dim),
          .rotary_dims = static_cast<int>(shape.rotary_dims),
          .block_tokens = static_cast<int>(block_tokens)};
}

/// Whether two matrices are parts of one.
inline bool stacked(const CudaOps::Matrix& a, const CudaOps::Matrix& b) {
  return a.stack != nullptr && a.stack == b.stack;
}

inline Cost matrix_cost(std::int64_t tokens, const CudaOps::Matrix& w) {
  return matmul_cost(tokens, w.rows, w.cols, w.bytes());
}

inline Cost mlp_cost(std::int64_t tokens, const MlpWeights<CudaOps>& w) {
  return matrix_cost(tokens, w.gate_proj.weight) + matrix_cost(tokens, w.up_proj.weight) +
         matrix_cost(tokens, w.down_proj.weight);
}

template <class Use>
void CudaOps::in_turns(const Use& use) const {
  if (!options_.deterministic) return use(step_.table());
  const cuda::StepTable first = step_.decode_table();
  if (first.lane_count > 0) use(first);
  for (std::size_t i = 0; i < step_.prefill_lanes().size(); ++i)
    use(step_.lane_table(first.lane_count + static_cast<std::int64_t>(i)));
}

}  // namespace nvllm
