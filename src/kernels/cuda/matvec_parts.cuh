#pragma once

// What the forms of an NVFP4 product share: where their rows of x come from and where their sums go.

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/nvfp4_matvec.h"
#include "kernels/cuda/tile_product.cuh"
#include "kernels/cuda/unpack.cuh"

namespace nvllm::cuda {

/// Divides by what only the host knows, without the hundreds of cycles that a division takes.
struct Divisor {
  unsigned by = 1, magic = 0, shift = 0;

  Divisor() = default;
  explicit Divisor(int by_) : by(static_cast<unsigned>(by_)) {
    while (shift < 31 && (1u << shift) < by) ++shift;
    // Rounded up, it is exact for every dividend below 2^31 (Granlund and Montgomery 1994).
    magic = static_cast<unsigned>(((1ull << 32) * ((1ull << shift) - by)) / by + 1);
  }
  __device__ __forceinline__ int divide(int value) const {
    const unsigned n = static_cast<unsigned>(value);
    return static_cast<int>((__umulhi(n, magic) + n) >> shift);
  }
};

/// Rows of a matrix whose sums go to one place.
struct MatvecOutput {
  void* to = nullptr;
  long long stride = 0;  ///< elements between the rows of two tokens
  int rows = 0, first_tile = 0;
  float factor = 1;  ///< of the sums
};

/// BF16 rows [rows, cols] multiplied by the same x: one CTA takes one row.
struct MatvecDense {
  const __nv_bfloat16* weights = nullptr;
  __nv_bfloat16* to = nullptr;
  long long stride = 0;
  int rows = 0;
};

/// A product's inputs and outputs.
struct MatvecPlaces {
  const __nv_bfloat16* x;
  long long x_stride;
  MatvecOutput outputs[kMatvecOutputsMax];
  int output_count;
  DeviceNorm norm;  ///< of the rows of x
  MatvecDense dense[kMatvecDenseMax];
  int tokens, cols;

  __host__ __device__ bool has_dense() const { return dense[0].rows > 0; }
  /// This CTA's row of BF16, or null; `to` is where its sums go.
  __device__ __forceinline__ const __nv_bfloat16* dense_row(MatvecDense& of) const {
    int row = blockIdx.x;
    for (const MatvecDense& each : dense) {
      of = each;
      of.to += row;
      if (row < each.rows) return each.weights + static_cast<long long>(row) * cols;
      row -= each.rows;
    }
    return nullptr;
  }
};

/// Steps lie in one line, of which each CTA takes a run: all but the first `longer` have `share`, those have one more. The
/// first step of a CTA, and the CTA that owns a step.
template <class Arguments>
__device__ __forceinline__ int share_begin(const Arguments& a, int cta) {
  return cta * a.share + min(cta, a.longer);
}
template <class Arguments>
__device__ __forceinline__ int owner_of(const Arguments& a, int step) {
  const int beyond = step - a.longer * (a.share + 1);
  return beyond < 0 ? a.by_longer_share.divide(step) : a.longer + a.by_share.divide(beyond);
}

/// BF16 times the factor that one token's columns carry: exact.
__device__ __forceinline__ uint2 lifted(uint2 values) {
  const __nv_bfloat162 factor = as_pair(kOneTokenFactorBits);
  return {as_bits(__hmul2(as_pair(values.x), factor)), as_bits(__hmul2(as_pair(values.y), factor))};
}

/// Ends one pair of sums of gate and up rows laid together, rows g and g + 8 of a group of 16, for one token.
__device__ __forceinline__ void put_swiglu(const MatvecPlaces& a, int row_tile, int group, int g, int token, float2 sum) {
  const MatvecOutput& to = a.outputs[0];
  const int row = (row_tile * 2 + group) * 8 + g;
  if (token >= a.tokens || row >= to.rows) return;
  // Rounded as the products would be if they were stored, so that fusion changes no bit.
  const float gate = rounded(sum.x * to.factor), up = rounded(sum.y * a.outputs[1].factor);
  static_cast<__nv_bfloat16*>(to.to)[token * to.stride + row] = __float2bfloat16_rn(rounded_silu(gate) * up);
}

/// Where a lane's sums of a group of 16 rows go, in the order in which tensor cores have them: for each eight tokens, (row
/// g, token 2 t), (g, 2 t + 1), (g + 8, 2 t), (g + 8, 2 t + 1). Worked out once: what runs once costs what it takes to fetch it.
struct SumPlaces {
  void* to;
  long long stride;
  float factor;
  int first_token, tokens, row, rows;

  __device__ __forceinline__ SumPlaces(const MatvecPlaces& a, int row_tile, int group, int lane) {
    int which = 0;
#pragma unroll 1
    while (which + 1 < a.output_count && row_tile >= a.outputs[which + 1].first_tile) ++which;
    const MatvecOutput& output = a.outputs[which];
    to = output.to;
    stride = output.stride;
    factor = output.factor;
    first_token = lane % 4 * 2;
    tokens = a.tokens;
    row = ((row_tile - output.first_tile) * 2 + group) * 16 + lane / 4;
    rows = output.rows;
  }
  __device__ __forceinline__ int token(int index) const { return first_token + index / 4 * 8 + index % 2; }
  __device__ __forceinline__ bool has(int index) const { return token(index) < tokens && row + index % 4 / 2 * 8 < rows; }
  __device__ __forceinline__ long long at(int index) const { return token(index) * stride + row + index % 4 / 2 * 8; }

  /// What kAdd adds to. Past the first-level cache: in a larger kernel another multiprocessor may have written it.
  template <MatvecEnd kEnd>
  __device__ __forceinline__ float before(int index) const {
    if constexpr (kEnd != MatvecEnd::kAdd) return 0;
    return has(index) ? __bfloat162float(__ldcg(static_cast<const __nv_bfloat16*>(to) + at(index))) : 0.0f;
  }
  template <MatvecEnd kEnd>
  __device__ __forceinline__ void put(int index, float sum, float before) const {
    if (!has(index)) return;
    const float value = sum * factor;
    if constexpr (kEnd == MatvecEnd::kFloat) {
      static_cast<float*>(to)[at(index)] = value;
    } else {
      static_cast<__nv_bfloat16*>(to)[at(index)] = __float2bfloat16_rn(kEnd == MatvecEnd::kAdd ? before + rounded(value) : value);
    }
  }
};

}  // namespace nvllm::cuda
