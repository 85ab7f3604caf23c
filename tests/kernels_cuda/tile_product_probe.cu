// The inner loop of the NVFP4 product, for one row of x or up to eight, NVLLM_TILES tiles in a row and nothing else: two
// sizes of this tell what one tile costs (instructions_per_weight.py). Of several rows compute capability 9.0 multiplies a
// group of the matrix's rows at a time (warpgroup_phase.cuh), others a tile (matvec_phase.cuh). Never run.

#include "kernels/cuda/tile_product.cuh"

namespace nvllm::cuda {

#if NVLLM_ROWS == 1
__global__ void tile_products(float* out, std::uint32_t codes, std::uint32_t scales, std::uint32_t x, std::uint32_t exponent) {
  const OwnBlock mine(static_cast<int>(threadIdx.x) % 32);
  float sums[2][2] = {};
#pragma unroll
  for (int i = 0; i < NVLLM_TILES; ++i) {
    multiply_tile_by_one(sums, codes + i * 2304, scales + i * 2304, ptx::load_shared_8(x + i * 256), mine, exponent, [] {});
  }
  for (int i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = sums[i / 2][i % 2];
}
#elif __CUDA_ARCH__ == 900
__global__ void tile_products(float* out, std::uint32_t codes, std::uint32_t scales, std::uint32_t x, std::uint32_t exponent) {
  float sums[4] = {};
#pragma unroll
  for (int i = 0; i < 2 * NVLLM_TILES; ++i) {
    const std::uint32_t tile = i / 2 * 2304;
    multiply_group(sums, codes + tile + i % 2 * 512, scales + tile + i % 2 * 128, x + i * 256, exponent);
  }
  for (int i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = sums[i];
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
