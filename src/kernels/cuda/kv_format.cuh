#pragma once

// Keys and values as the cache keeps them, and as pairs for tensor cores: BF16 as it is, FP8 as F16, which holds every
// E4M3 value exactly.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/cuda/ptx/matrix.cuh"
#include "kernels/cuda/step_table.h"

namespace nvllm::cuda {

__device__ __forceinline__ float round_bf16(float value) { return __bfloat162float(__float2bfloat16_rn(value)); }

__device__ __forceinline__ std::uint32_t pack_bf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

__device__ __forceinline__ std::uint32_t pack_f16(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

/// Two E4M3 codes, the low one first, to nearest and saturating.
__device__ __forceinline__ std::uint16_t pack_e4m3(float low, float high) {
  std::uint16_t out;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(out) : "f"(high), "f"(low));
  return out;
}

__device__ __forceinline__ std::uint32_t e4m3_pair_to_f16(std::uint32_t codes) {
  std::uint32_t out;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(out) : "h"(static_cast<std::uint16_t>(codes)));
  return out;
}

/// 2^x to two units of the last place, without the code for tiny results.
__device__ __forceinline__ float power_of_two(float x) {
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
  return out;
}

/// BF16 as queries have it: sigmoid(x).
__device__ __forceinline__ float rounded_sigmoid(float x) { return round_bf16(__fdividef(1.0f, 1.0f + __expf(-x))); }

/// x / by, rounded as the division would, given 1 / by; for what E4M3 can hold.
__device__ __forceinline__ float divide(float x, float by, float inverse) {
  const float quotient = x * inverse;
  return fmaf(fmaf(-quotient, by, x), inverse, quotient);
}

template <KvFormat kFormat>
struct KvCodes;

template <>
struct KvCodes<KvFormat::kBf16> {
  static constexpr int kBytes = 2;          // an element
  static constexpr bool kTwoPartWeights = true;  // a weight is the sum of two BF16
  static constexpr float kQueryFactor = 1.0f;

  static __device__ __forceinline__ std::uint32_t pack(float low, float high) { return pack_bf16(low, high); }
  /// Elements 4 j to 4 j + 3 of a run.
  template <int kWords>
  static __device__ __forceinline__ void four(const std::uint32_t (&run)[kWords], int j, std::uint32_t& first, std::uint32_t& second) {
    first = run[2 * j];
    second = run[2 * j + 1];
  }
  /// Elements 2 j and 2 j + 1 of two runs, paired across them.
  template <int kWords>
  static __device__ __forceinline__ void across(const std::uint32_t (&a)[kWords], const std::uint32_t (&b)[kWords], int j,
                                                std::uint32_t& first, std::uint32_t& second) {
    first = __byte_perm(a[j], b[j], 0x5410);
    second = __byte_perm(a[j], b[j], 0x7632);
  }
  static __device__ __forceinline__ void multiply(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
    ptx::multiply_16x8x16(d, a, b0, b1);
  }
};

template <>
struct KvCodes<KvFormat::kFp8> {
  static constexpr int kBytes = 1;
  static constexpr bool kTwoPartWeights = false;
  static constexpr float kQueryFactor = 0.0625f;  // so that queries up to a million are finite in F16

  static __device__ __forceinline__ std::uint32_t pack(float low, float high) { return pack_f16(low, high); }
  template <int kWords>
  static __device__ __forceinline__ void four(const std::uint32_t (&run)[kWords], int j, std::uint32_t& first, std::uint32_t& second) {
    first = e4m3_pair_to_f16(run[j]);
    second = e4m3_pair_to_f16(run[j] >> 16);
  }
  template <int kWords>
  static __device__ __forceinline__ void across(const std::uint32_t (&a)[kWords], const std::uint32_t (&b)[kWords], int j,
                                                std::uint32_t& first, std::uint32_t& second) {
    const std::uint32_t codes = __byte_perm(a[j / 2], b[j / 2], j % 2 == 0 ? 0x5140 : 0x7362);
    first = e4m3_pair_to_f16(codes);
    second = e4m3_pair_to_f16(codes >> 16);
  }
  static __device__ __forceinline__ void multiply(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

}  // namespace nvllm::cuda
