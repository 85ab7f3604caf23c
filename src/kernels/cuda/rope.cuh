#pragma once

// One head's norm and rope by one warp, through a row of floats in shared memory. Rounds where the CPU backend does.

#include <cuda_bf16.h>

#include "kernels/cuda/kv_format.cuh"
#include "kernels/cuda/step_table.h"

namespace nvllm::cuda {

__device__ __forceinline__ float sum_of_warp(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, distance);
  return value;
}

__device__ __forceinline__ float largest_of_warp(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value = fmaxf(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

/// row = rope(norm(head)), BF16 values in floats. `cosine` null: no rope. Lane l holds columns 2 l, 2 l + 1, 2 l + 64, ...
template <int kHeadDim>
__device__ __forceinline__ void prepare_head(float* row, const __nv_bfloat16* head, const DeviceNorm& norm, const float* cosine,
                                             const float* sine, int half, int lane) {
  constexpr int kPairs = kHeadDim / 64, kTurns = kHeadDim / 64;
  float2 x[kPairs], gain[kPairs] = {};
  float c[kTurns] = {}, s[kTurns] = {};  // asked for before they are needed; set on every path, or they keep registers beyond it
#pragma unroll
  for (int i = 0; i < kTurns; ++i) {
    const int j = lane + 32 * i;
    if (cosine != nullptr && j < half) c[i] = cosine[j], s[i] = sine[j];
  }
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const unsigned pair = __ldcg(reinterpret_cast<const unsigned*>(head + 64 * i + 2 * lane));
    x[i] = __bfloat1622float2(reinterpret_cast<const __nv_bfloat162&>(pair));
    if (norm.gain != nullptr) gain[i] = *reinterpret_cast<const float2*>(norm.gain + 64 * i + 2 * lane);
  }
  if (norm.gain != nullptr) {
    float squares = 0;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) squares += x[i].x * x[i].x + x[i].y * x[i].y;
    const float scale = rsqrtf(sum_of_warp(squares) * (1.0f / kHeadDim) + norm.epsilon);
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      if (norm.zero_centred) {
        x[i] = {round_bf16(x[i].x * scale * (1.0f + gain[i].x)), round_bf16(x[i].y * scale * (1.0f + gain[i].y))};
      } else {
        x[i] = {round_bf16(gain[i].x * round_bf16(x[i].x * scale)), round_bf16(gain[i].y * round_bf16(x[i].y * scale))};
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kPairs; ++i) *reinterpret_cast<float2*>(row + 64 * i + 2 * lane) = x[i];
  __syncwarp();
  if (cosine == nullptr) return;
#pragma unroll
  for (int i = 0; i < kTurns; ++i) {
    const int j = lane + 32 * i;
    if (j >= half) continue;
    const float low = row[j], high = row[half + j];
    row[j] = round_bf16(round_bf16(__fmul_rn(low, c[i])) - round_bf16(__fmul_rn(high, s[i])));
    row[half + j] = round_bf16(round_bf16(__fmul_rn(high, c[i])) + round_bf16(__fmul_rn(low, s[i])));
  }
  __syncwarp();
}

/// Columns 2 l, 2 l + 1, 2 l + 64, ... of a head as the cache keeps them.
template <int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void store_head(std::byte* to, const float* row, float scale, int lane) {
  const float inverse = 1.0f / scale;
#pragma unroll
  for (int i = 0; i < kHeadDim / 64; ++i) {
    const int col = 64 * i + 2 * lane;
    const float2 x = *reinterpret_cast<const float2*>(row + col);
    if constexpr (kFormat == KvFormat::kFp8) {
      *reinterpret_cast<std::uint16_t*>(to + col) = pack_e4m3(divide(x.x, scale, inverse), divide(x.y, scale, inverse));
    } else {
      *reinterpret_cast<std::uint32_t*>(to + 2 * col) = pack_bf16(x.x, x.y);
    }
  }
}

}  // namespace nvllm::cuda
