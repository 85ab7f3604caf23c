// The inner loop of the NVFP4 product, NVLLM_TILES times in a row and nothing else: two sizes of this
// tell what one tile costs (instructions_per_weight.py). Never run.

#include "kernels/cuda/tile_product.cuh"

namespace nvllm::cuda {

__global__ void tile_products(float* out, std::uint32_t codes, std::uint32_t scales, std::uint32_t x, std::uint32_t exponent) {
  Sums sums = {};
#pragma unroll
  for (int i = 0; i < NVLLM_TILES; ++i) multiply_tile(sums, codes + i * 2304, scales + i * 2304, x + i * 256, exponent);
  for (int group = 0; group < 2; ++group) {
    for (int i = 0; i < 4; ++i) out[threadIdx.x * 8 + group * 4 + i] = sums[group][i];
  }
}

}  // namespace nvllm::cuda
