// A CTA has 128 rows of the matrix and 128 of x; a warp 32 of the matrix, which are a row tile, by 64. Column tiles of both
// come through a ring of shared memory that all threads fill together.

#include "kernels/cuda/block_scaled_matmul.h"

#include <cuda_bf16.h>

#include "base/check.h"
#include "kernels/cuda/block_scaled_codes.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/async_copy.cuh"
#include "kernels/cuda/ptx/block_scaled.cuh"
#include "kernels/cuda/ptx/matrix.cuh"
#include "kernels/cuda/ptx/shared.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kThreads = 256, kRowWarps = 4;
constexpr int kTokens = 128, kWarpTokens = 64, kEights = kWarpTokens / 8;
constexpr int kTile = static_cast<int>(kTileBytes), kTileScalesAt = static_cast<int>(kTileCodeBytes);
constexpr int kCodeBytes = static_cast<int>(kTileCols) / 2, kScaleBytes = static_cast<int>(kTileCols) / 16;  // of one row of x
constexpr int kCodeStride = kCodeBytes + 16;  // padded against bank conflicts
constexpr int kCodesAt = kRowWarps * kTile, kScalesAt = kCodesAt + kTokens * kCodeStride;
constexpr int kStageBytes = kScalesAt + kTokens * kScaleBytes, kStages = 4;

struct Arguments {
  const std::byte* tiles;
  Nvfp4Rows x;
  __nv_bfloat16* out[2];  // of rows g and of rows g + 8
  long long out_stride[2];
  float scales[2];
  int tokens, rows, row_tiles, col_tiles;
};

/// Asks for a column tile of both sides; zeros for what they do not have.
__device__ __forceinline__ void fetch(const Arguments& a, std::uint32_t stage, int col_tile) {
  const int first_tile = static_cast<int>(blockIdx.x) * kRowWarps, first_token = static_cast<int>(blockIdx.y) * kTokens;
  for (int at = threadIdx.x * 16; at < kRowWarps * kTile; at += kThreads * 16) {
    const int row_tile = first_tile + at / kTile;
    const bool there = row_tile < a.row_tiles;
    const long long tile = there ? static_cast<long long>(row_tile) * a.col_tiles + col_tile : 0;
    ptx::copy_16(stage + at, a.tiles + tile * kTile + at % kTile, there);
  }
  for (int i = threadIdx.x; i < kTokens * kCodeBytes / 16; i += kThreads) {
    const int token = i / (kCodeBytes / 16), at = i % (kCodeBytes / 16) * 16;
    const bool there = first_token + token < a.tokens;
    const long long row = there ? first_token + token : 0;
    const auto* from = reinterpret_cast<const std::byte*>(a.x.codes) + (row * a.col_tiles + col_tile) * kCodeBytes + at;
    ptx::copy_16(stage + kCodesAt + token * kCodeStride + at, from, there);
  }
  if (threadIdx.x < kTokens / 2) {
    const long long pair = first_token / 2 + static_cast<int>(threadIdx.x);
    const bool there = pair < a.x.pairs;
    const auto* from = reinterpret_cast<const std::byte*>(a.x.scales) + (col_tile * a.x.pairs + (there ? pair : 0)) * 2 * kScaleBytes;
    ptx::copy_16(stage + kScalesAt + threadIdx.x * 2 * kScaleBytes, from, there);
  }
}

/// A lane's part of 16 rows by 64 columns: a group and a half of a tile. Its codes are those of two other lanes of its quad.
__device__ __forceinline__ ptx::Nvfp4Left load_weights(std::uint32_t tile, int group, int half, int lane) {
  const int g = lane / 4, t = lane % 4;
  ptx::Nvfp4Left out;
  const std::uint32_t codes = tile + (half * 2 + group) * 512 + (g * 4 + t % 2 * 2) * 16;
#pragma unroll
  for (int pair = 0; pair < 2; ++pair) {  // of blocks
    const std::uint32_t from = codes + (pair * 2 + t / 2) * 4;
    const CodeRows first(ptx::load_shared_4(from)), second(ptx::load_shared_4(from + 16));
    out.codes[2 * pair] = __byte_perm(first.upper, second.upper, 0x6240);
    out.codes[2 * pair + 1] = __byte_perm(first.lower, second.lower, 0x6240);
  }
  const uint2 bytes = ptx::load_shared_8(tile + kTileScalesAt + group * 128 + g * 16 + half * 8);
  out.scales = narrow_scales(__byte_perm(bytes.x, bytes.y, t % 2 == 0 ? 0x5410 : 0x7632));
  return out;
}

/// sums += the warp's row tile by its rows of x, of one column tile.
__device__ __forceinline__ void multiply(float (&sums)[2][kEights][4], std::uint32_t tile, std::uint32_t codes,
                                         std::uint32_t scales, int lane) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const ptx::Nvfp4Left weights[2] = {load_weights(tile, 0, half, lane), load_weights(tile, 1, half, lane)};
#pragma unroll
    for (int n = 0; n < kEights; ++n) {
      const std::uint32_t from = codes + n * 8 * kCodeStride + half * 32;
      ptx::Nvfp4Right x;
      x.codes[0] = ptx::load_shared_4(from);
      x.codes[1] = ptx::load_shared_4(from + 16);
      x.scales = ptx::load_shared_4(scales + n * 8 * kScaleBytes + half * 4);
#pragma unroll
      for (int group = 0; group < 2; ++group) ptx::multiply_nvfp4_16x8x64(sums[group][n], weights[group], x);
    }
  }
}

template <RowOrder kOrder>
__global__ void __launch_bounds__(kThreads, 1) block_scaled_kernel(const __grid_constant__ Arguments a) {
  extern __shared__ __align__(16) std::byte shared[];
  const std::uint32_t ring = ptx::shared_address(shared);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int first_of_warp = warp / kRowWarps * kWarpTokens;
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
#pragma unroll 1
  for (int i = 0; i < kStages - 1; ++i) {
    if (i < a.col_tiles) fetch(a, ring + i * kStageBytes, i);
    ptx::close_copies();
  }
  float sums[2][kEights][4] = {};
#pragma unroll 1
  for (int i = 0; i < a.col_tiles; ++i) {
    ptx::wait_for_copies<kStages - 2>();
    __syncthreads();  // everybody's copies are there, and the stage before is free
    const int next = i + kStages - 1;
    if (next < a.col_tiles) fetch(a, ring + next % kStages * kStageBytes, next);
    ptx::close_copies();
    const std::uint32_t stage = ring + i % kStages * kStageBytes;
    multiply(sums, stage + warp % kRowWarps * kTile, stage + kCodesAt + (first_of_warp + g) * kCodeStride + t * 4,
             stage + kScalesAt + (first_of_warp + g) * kScaleBytes, lane);
  }
  const int row_tile = static_cast<int>(blockIdx.x) * kRowWarps + warp % kRowWarps;
  if (row_tile >= a.row_tiles) return;
  const int first_token = static_cast<int>(blockIdx.y) * kTokens + first_of_warp;
#pragma unroll
  for (int n = 0; n < kEights; ++n) {
#pragma unroll
    for (int odd = 0; odd < 2; ++odd) {
      const int token = first_token + n * 8 + t * 2 + odd;
      if (token >= a.tokens) continue;
      const float factor = __ldcg(a.x.factors + token);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int group = i / 2, low = i % 2;
        const int row = kOrder == RowOrder::kPlain ? row_tile * 32 + group * 16 + low * 8 + g : (row_tile * 2 + group) * 8 + g;
        const int which = kOrder == RowOrder::kPlain ? 0 : low;
        if (row >= a.rows) continue;
        a.out[which][token * a.out_stride[which] + row] = __float2bfloat16_rn(sums[group][n][low * 2 + odd] * (factor * a.scales[which]));
      }
    }
  }
}

template <RowOrder kOrder>
void launch(const Arguments& a, cudaStream_t stream) {
  const auto groups = [](int count, int of) { return static_cast<unsigned>((count + of - 1) / of); };
  const dim3 ctas(groups(a.row_tiles, kRowWarps), groups(a.tokens, kTokens));
  launch_roomy<block_scaled_kernel<kOrder>>(Start::kEarly, ctas, kThreads, kStages * kStageBytes, stream, a);
}

}  // namespace

bool multiplies_nvfp4(const DeviceFacts& device) { return device.compute_capability == 121; }

void block_scaled_matmul(std::span<const MatvecTarget> outs, const Nvfp4Rows& x, std::int64_t tokens, const Nvfp4DeviceMatrix& w,
                         cudaStream_t stream) {
  const bool plain = w.order() == RowOrder::kPlain;
  NVLLM_CHECK_EQ(outs.size(), plain ? 1u : 2u);
  NVLLM_CHECK(!plain || w.parts().size() == 1);
  if (tokens == 0) return;
  Arguments a{.tiles = w.tiles(),
              .x = x,
              .out = {static_cast<__nv_bfloat16*>(outs.front().to), static_cast<__nv_bfloat16*>(outs.back().to)},
              .out_stride = {outs.front().stride, outs.back().stride},
              .scales = {w.parts().front().global_scale, w.parts().back().global_scale},
              .tokens = static_cast<int>(tokens),
              .rows = static_cast<int>(w.parts().front().rows),
              .row_tiles = static_cast<int>(w.row_tiles()),
              .col_tiles = static_cast<int>(w.col_tiles())};
  if (plain) return launch<RowOrder::kPlain>(a, stream);
  launch<RowOrder::kGateUp>(a, stream);
}

}  // namespace nvllm::cuda
