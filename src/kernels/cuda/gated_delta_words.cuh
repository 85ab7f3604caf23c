#pragma once

// Launches that more than one of a Gated DeltaNet layer's forms is made of.

#include <cuda_runtime.h>

#include "kernels/cuda/gated_delta_parts.cuh"

namespace nvllm::cuda::delta {

/// Consecutive lanes of the step table.
struct LaneRange {
  int first = 0, count = 0;
};

/// Convolution and silu of all tokens; keeps the slots' rings. `tile_ctas` CTAs share a lane's tiles of tokens.
void launch_conv(const Layer& layer, Bf16* out, int out_stride, LaneRange lanes, int tile_ctas, cudaStream_t stream);

/// The gated norm of all tokens. `lane_ctas` CTAs share a lane's rows.
void launch_norm(const Layer& layer, Bf16* out, int out_stride, const Bf16* core, int core_stride, LaneRange lanes, int lane_ctas,
                 cudaStream_t stream);

/// The rule token by token from what launch_conv gave.
void launch_rule(const Layer& layer, StateFormat format, Bf16* out, int out_stride, const Bf16* conv, int conv_stride,
                 LaneRange lanes, cudaStream_t stream);

/// delta_decode() for heads that its fast kernel does not know.
void launch_general_decode(const Layer& layer, StateFormat format, cudaStream_t stream);

}  // namespace nvllm::cuda::delta
