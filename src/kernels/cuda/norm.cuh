#pragma once

// Norms and activations as device functions, so that every kernel that needs one rounds alike.

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/step_table.h"

namespace nvllm::cuda {

/// The value that survives a trip through BF16.
__device__ __forceinline__ float rounded(float value) { return __bfloat162float(__float2bfloat16_rn(value)); }

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + __expf(-x)); }
__device__ __forceinline__ float rounded_silu(float x) { return rounded(x * sigmoid(x)); }

/// One over the root-mean-square of a row.
__device__ __forceinline__ float inverse_rms(float squares, int width, float epsilon) {
  return 1.0f / sqrtf(squares / static_cast<float>(width) + epsilon);
}

/// One element of a norm, before its last rounding; `inverse` is one over the root-mean-square.
__device__ __forceinline__ float normed(float x, float inverse, float gain, bool zero_centred) {
  const float unit = x * inverse;
  return zero_centred ? unit * (1.0f + gain) : gain * rounded(unit);
}

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) value += __shfl_xor_sync(0xffffffffu, value, lane);
  return value;
}

/// Four BF16 at once, as floats and back.
__device__ __forceinline__ float4 floats_of(uint2 bits) {
  return {__uint_as_float(bits.x << 16), __uint_as_float(bits.x & 0xffff0000u), __uint_as_float(bits.y << 16),
          __uint_as_float(bits.y & 0xffff0000u)};
}
__device__ __forceinline__ uint2 bits_of(float4 values) {
  const __nv_bfloat162 low = __floats2bfloat162_rn(values.x, values.y), high = __floats2bfloat162_rn(values.z, values.w);
  return {reinterpret_cast<const std::uint32_t&>(low), reinterpret_cast<const std::uint32_t&>(high)};
}

__device__ __forceinline__ float4 normed(float4 x, float inverse, float4 gain, bool zero_centred) {
  return {normed(x.x, inverse, gain.x, zero_centred), normed(x.y, inverse, gain.y, zero_centred),
          normed(x.z, inverse, gain.z, zero_centred), normed(x.w, inverse, gain.w, zero_centred)};
}

/// sum + a · b, in order of columns.
__device__ __forceinline__ float dot(float4 a, float4 b, float sum) {
  return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

inline constexpr int kRowThreads = 64;  // that share a row's squares, two warps

/// The squares of a row, `thread` of kRowThreads' part of them, added over its warp. Columns are a multiple of 8 or
/// rows end in zeros; past the first-level cache, since an earlier phase of the same kernel may have written them.
__device__ __forceinline__ float row_squares(const __nv_bfloat16* row, int cols, int thread) {
  constexpr int kAtOnce = 10;  // loads on their way
  float sum = 0;
#pragma unroll 1
  for (int first = thread * 8; first < cols; first += kAtOnce * kRowThreads * 8) {
    uint4 x[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int col = first + i * kRowThreads * 8;
      x[i] = col < cols ? __ldcg(reinterpret_cast<const uint4*>(row + col)) : uint4{0, 0, 0, 0};
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const float4 low = floats_of({x[i].x, x[i].y}), high = floats_of({x[i].z, x[i].w});
      sum = dot(high, high, dot(low, low, sum));
    }
  }
  return warp_sum(sum);
}

/// Adds one value of every thread of the CTA, for each token: within warps, then over warps, by trees. Every thread gets
/// the sums. `scratch` has kThreads / 32 floats a token; all threads must be done with it.
template <int kThreads, int kTokens>
__device__ __forceinline__ void cta_sums(float (&values)[kTokens], float* scratch) {
  constexpr int kCtaWarps = kThreads / 32;
#pragma unroll
  for (int token = 0; token < kTokens; ++token) {
    values[token] = warp_sum(values[token]);
    if (threadIdx.x % 32 == 0) scratch[token * kCtaWarps + threadIdx.x / 32] = values[token];
  }
  __syncthreads();
#pragma unroll
  for (int token = 0; token < kTokens; ++token) {
    const int lane = threadIdx.x % 32;
    values[token] = warp_sum(lane < kCtaWarps ? scratch[token * kCtaWarps + lane] : 0.0f);
  }
}

}  // namespace nvllm::cuda
