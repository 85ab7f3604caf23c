// One CTA a row, which it reads twice: for the factor, and to round. A thread takes whole blocks of 16 columns.

#include "kernels/cuda/nvfp4_rows.h"

#include <cuda_bf16.h>
#include <cuda_fp4.h>
#include <cuda_fp8.h>

#include "base/check.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/nvfp4_tiles.h"
#include "kernels/cuda/ptx/matrix.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kBlock = 16, kTileBlocks = static_cast<int>(kTileCols) / kBlock;
constexpr float kCodeMax = 6, kScaleMax = 448;
constexpr std::uint32_t kInfinity = 0x7f800000u;

struct Arguments {
  Nvfp4Rows out;
  const __nv_bfloat16* x;
  long long x_stride;
  int cols, tiles;
  int without_other;  // the row whose pair has no second one, or -1
};

/// Sixteen columns as floats.
struct Block {
  float x[kBlock];

  __device__ __forceinline__ explicit Block(const __nv_bfloat16* from) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint4 bits = __ldcg(reinterpret_cast<const uint4*>(from) + half);
      const std::uint32_t pairs[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        x[half * 8 + 2 * i] = __uint_as_float(pairs[i] << 16);
        x[half * 8 + 2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
      }
    }
  }
  /// The largest magnitude's bits: those of a NaN are larger than any number's.
  [[nodiscard]] __device__ __forceinline__ std::uint32_t largest() const {
    std::uint32_t bits = 0;
#pragma unroll
    for (const float value : x) bits = max(bits, __float_as_uint(value) & 0x7fffffffu);
    return bits;
  }
};

__device__ __forceinline__ std::uint32_t largest_of_cta(std::uint32_t bits) {
  __shared__ std::uint32_t of_warp[kThreads / 32];
  bits = __reduce_max_sync(0xffffffffu, bits);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = bits;
  __syncthreads();
#pragma unroll
  for (const std::uint32_t other : of_warp) bits = max(bits, other);
  return bits;
}

/// Eight codes in a word, of even columns and then of odd ones.
__device__ __forceinline__ std::uint32_t codes_of(const float* x, float unit) {
  std::uint32_t word = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int first = i % 2 * 4 + i / 2;  // columns 0, 2; 4, 6; 1, 3; 5, 7
    const float2 pair{__fdiv_rn(x[first], unit), __fdiv_rn(x[first + 2], unit)};
    word |= static_cast<std::uint32_t>(__nv_cvt_float2_to_fp4x2(pair, __NV_E2M1, cudaRoundNearest)) << (8 * i);
  }
  return word;
}

__global__ void __launch_bounds__(kThreads) round_kernel(const __grid_constant__ Arguments a) {
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const long long row = blockIdx.x;
  const __nv_bfloat16* const x = a.x + row * a.x_stride;
  const int blocks = a.cols / kBlock;
  std::uint32_t largest = 0;
  for (int block = threadIdx.x; block < blocks; block += kThreads) largest = max(largest, Block(x + block * kBlock).largest());
  largest = largest_of_cta(largest);
  const float factor = largest == 0 ? 1.0f : __fdiv_rn(__uint_as_float(largest), kCodeMax * kScaleMax);
  if (threadIdx.x == 0) a.out.factors[row] = largest < kInfinity ? factor : __uint_as_float(0x7fffffffu);
  for (int block = threadIdx.x; block < a.tiles * kTileBlocks; block += kThreads) {
    const int tile = block / kTileBlocks;
    std::uint32_t words[2] = {0, 0};
    __nv_fp8_storage_t scale = 0;
    if (block < blocks && largest < kInfinity) {
      const Block of(x + block * kBlock);
      scale = __nv_cvt_float_to_fp8(__fdiv_rn(__uint_as_float(of.largest()), kCodeMax * factor), __NV_SATFINITE, __NV_E4M3);
      const float unit = __half2float(__nv_cvt_fp8_to_halfraw(scale, __NV_E4M3)) * factor;
      if (unit > 0) {
        words[0] = codes_of(of.x, unit);
        words[1] = codes_of(of.x + 8, unit);
      }
    }
    reinterpret_cast<uint2*>(a.out.codes)[row * a.tiles * kTileBlocks + block] = {words[0], words[1]};
    std::uint8_t* const scales =
        reinterpret_cast<std::uint8_t*>(a.out.scales) + (tile * 2 * a.out.pairs + row) * kTileBlocks + block % kTileBlocks;
    *scales = scale;
    if (row == a.without_other) scales[kTileBlocks] = 0;  // it is read with its pair
  }
}

}  // namespace

std::int64_t Nvfp4Rows::bytes(std::int64_t rows, std::int64_t tiles) {
  return (rows + 1) / 2 * 2 * (tiles * (kTileCols / 2 + kTileBlocks) + static_cast<std::int64_t>(sizeof(float)));
}

Nvfp4Rows Nvfp4Rows::in(void* memory, std::int64_t rows, std::int64_t tiles) {
  Nvfp4Rows out;
  out.pairs = (rows + 1) / 2;
  out.codes = static_cast<std::uint32_t*>(memory);
  out.scales = out.codes + rows * tiles * (kTileCols / 8);
  out.factors = reinterpret_cast<float*>(out.scales + 2 * out.pairs * tiles * (kTileBlocks / 4));
  return out;
}

void round_to_nvfp4(const Nvfp4Rows& out, const Bf16* x, std::int64_t x_stride, std::int64_t rows, std::int64_t cols, cudaStream_t stream) {
  NVLLM_CHECK(cols % kBlock == 0 && x_stride % 8 == 0);
  if (rows == 0) return;
  const Arguments arguments{.out = out,
                            .x = reinterpret_cast<const __nv_bfloat16*>(x),
                            .x_stride = x_stride,
                            .cols = static_cast<int>(cols),
                            .tiles = static_cast<int>((cols + kTileCols - 1) / kTileCols),
                            .without_other = rows % 2 == 0 ? -1 : static_cast<int>(rows) - 1};
  launch_early(round_kernel, static_cast<int>(rows), kThreads, 0, stream, arguments);
}

}  // namespace nvllm::cuda
