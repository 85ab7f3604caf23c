#pragma once

// What a prefill in segments hands from the kernel that finds their transitions to the one that finds where they start.

#include <cuda_runtime.h>

#include "kernels/cuda/gated_delta_parts.cuh"

namespace nvllm::cuda::delta {

/// What a segment makes of the state before it: matrix · S + values. Of heads of 128 by 128.
struct Transition {
  float values[kDeltaDimMax * kDeltaDimMax];  ///< [key_dim, value_dim]
  float matrix[kDeltaDimMax * kDeltaDimMax];  ///< [key_dim, key_dim]
};

struct Starts {
  Layer l;
  const Transition* transitions;  ///< [segments - 1, value_heads]
  float* starts;                  ///< [segments, value_heads, key_dim, value_dim]
  int lane, segments;             ///< at least two segments
};

/// Writes the state before every segment; that of the first is the lane's slot's, or zeros.
void launch_starts(const Starts& arguments, StateFormat format, cudaStream_t stream);

}  // namespace nvllm::cuda::delta
