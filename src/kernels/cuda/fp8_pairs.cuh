#pragma once

// E4M3 weights to BF16, as dequantise_row() defines them.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <cstdint>

namespace nvllm::cuda {

/// Two codes by their scale, rounded once; the lower code in the lower half.
__device__ __forceinline__ std::uint32_t scaled_pair(std::uint32_t codes, float scale) {
  const auto halves = __half2(__nv_cvt_fp8x2_to_halfraw2(static_cast<__nv_fp8x2_storage_t>(codes & 0xffffu), __NV_E4M3));
  const float2 values = __half22float2(halves);
  const __nv_bfloat162 pair = __floats2bfloat162_rn(values.x * scale, values.y * scale);
  return reinterpret_cast<const std::uint32_t&>(pair);
}

}  // namespace nvllm::cuda
