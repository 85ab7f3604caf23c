// The inner loop of the NVFP4 product, for one row of x or up to eight, NVLLM_TILES times in a row and
// nothing else: two sizes of this tell what one tile costs (instructions_per_weight.py). Never run.

#include "kernels/cuda/tile_product.cuh"

namespace nvllm::cuda {

#if NVLLM_ROWS == 1
__global__ void tile_products(float* out, std::uint32_t codes, std::uint32_t scales, std::uint32_t x, std::uint32_t exponent, int g) {
  float sums[2][2] = {};
#pragma unroll
  for (int i = 0; i < NVLLM_TILES; ++i) multiply_tile_by_one(sums, codes + i * 2304, scales + i * 2304, x + i * 256, exponent, g);
  for (int i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = sums[i / 2][i % 2];
}
#else
__global__ void tile_products(float* out, std::uint32_t codes, std::uint32_t scales, std::uint32_t x, std::uint32_t exponent) {
  Sums sums = {};
#pragma unroll
  for (int i = 0; i < NVLLM_TILES; ++i) multiply_tile(sums, codes + i * 2304, scales + i * 2304, x + i * 256, exponent);
  for (int i = 0; i < 8; ++i) out[threadIdx.x * 8 + i] = sums[i / 4][i % 4];
}
#endif

}  // namespace nvllm::cuda
