// One warp a tile. A lane gathers the words of two neighbouring places of a block, eight columns of rows g and g + 8,
// so that a quad writes 64 bytes of a row at once; the words' other readers find them in the first-level cache.

#include "kernels/cuda/dequantise.h"

#include <cuda_bf16.h>

#include <algorithm>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/fp8_pairs.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/matrix.cuh"
#include "kernels/cuda/unpack.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kWarps = 8;

struct TileArguments {
  const std::byte* tiles;  // from the range's first row tile on
  std::byte* out;
  long long stride;  // in elements
  float global_scales[2];  // of rows g and g + 8
  int tiles_count, col_tiles, rows;  // rows of the range
};

/// A pair of spread codes by the block's factor, rounded once.
__device__ __forceinline__ std::uint32_t scaled(std::uint32_t pair, float factor) {
  constexpr float kSpread = 0x1p126f;  // what spread codes are short of
  const float low = __uint_as_float(pair << 16) * kSpread, high = __uint_as_float(pair & 0xffff0000u) * kSpread;
  return as_bits(__floats2bfloat162_rn(low * factor, high * factor));
}

/// The float that a scale's byte stands for.
__device__ __forceinline__ float wide_value(std::uint32_t byte) { return __uint_as_float((byte << 20) + (118u << 23)); }

template <RowOrder kOrder>
__global__ void __launch_bounds__(kWarps * 32) dequantise_tiles(const TileArguments a) {
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const int tile = blockIdx.x * kWarps + threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  if (tile >= a.tiles_count) return;
  const int row_tile = tile / a.col_tiles, first_col = tile % a.col_tiles * static_cast<int>(kTileCols);
  const std::byte* from = a.tiles + static_cast<long long>(tile) * kTileBytes;
#pragma unroll
  for (int group = 0; group < 2; ++group) {
    const uint4 bytes = __ldg(reinterpret_cast<const uint4*>(from + kTileCodeBytes + group * 128 + g * 16));
    int rows[2];
    bool there[2];
#pragma unroll
    for (int low = 0; low < 2; ++low) {
      if constexpr (kOrder == RowOrder::kPlain) {
        rows[low] = row_tile * 32 + group * 16 + low * 8 + g;
        there[low] = rows[low] < a.rows;
      } else {
        const int pair = row_tile * 16 + group * 8 + g;
        rows[low] = pair + low * a.rows;
        there[low] = pair < a.rows;
      }
    }
#pragma unroll
    for (int run = 0; run < 4; ++run) {  // of 32 columns: two blocks
      const int half = run / 2, block = run * 2 + t / 2, place = t % 2 * 2;
      const std::byte* code = from + (half * 2 + group) * 512 + (g * 4 + place) * 16 + block % 4 * 4;
      const std::uint32_t words[2] = {__ldg(reinterpret_cast<const unsigned*>(code)), __ldg(reinterpret_cast<const unsigned*>(code + 16))};
      std::uint32_t spread[2][4];
      spread_codes(spread[0], words[0]);
      spread_codes(spread[1], words[1]);
      const std::uint32_t scales = run == 0 ? bytes.x : run == 1 ? bytes.y : run == 2 ? bytes.z : bytes.w;
      const int col = first_col + run * 32 + t * 8;
      if (col >= a.stride) continue;
#pragma unroll
      for (int low = 0; low < 2; ++low) {
        const float factor = wide_value(scales >> (low * 16 + t / 2 * 8) & 255u) * a.global_scales[low];
        const uint4 values{scaled(spread[0][low], factor), scaled(spread[0][low + 2], factor), scaled(spread[1][low], factor),
                           scaled(spread[1][low + 2], factor)};
        if (there[low]) *reinterpret_cast<uint4*>(a.out + (rows[low] * a.stride + col) * 2) = values;
      }
    }
  }
}

__global__ void __launch_bounds__(256) dequantise_codes(uint4* out, const uint2* codes, const float* scales, long long count) {
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const long long i = blockIdx.x * 256ll + threadIdx.x;
  if (i >= count) return;
  const uint2 eight = __ldg(codes + i);
  const float scale = __ldg(scales + i / (kDenseColsUnit / 8));
  out[i] = {scaled_pair(eight.x, scale), scaled_pair(eight.x >> 16, scale), scaled_pair(eight.y, scale), scaled_pair(eight.y >> 16, scale)};
}

}  // namespace

void dequantise(void* out, std::int64_t out_stride, const Nvfp4DeviceMatrix& w, RowRange range, cudaStream_t stream) {
  const bool plain = w.order() == RowOrder::kPlain;
  NVLLM_CHECK(!plain || w.parts().size() == 1);
  const std::int64_t per_tile = plain ? kTileRows : kTileRows / 2, all = w.parts()[0].rows;
  NVLLM_CHECK(range.begin % per_tile == 0 && range.begin >= 0 && range.begin <= range.end && range.end <= all);
  NVLLM_CHECK(out_stride % 16 == 0 && out_stride >= w.cols());
  const std::int64_t rows = range.end - range.begin, tiles = (rows + per_tile - 1) / per_tile * w.col_tiles();
  if (tiles == 0) return;
  const TileArguments arguments{
      .tiles = w.tiles() + range.begin / per_tile * w.col_tiles() * kTileBytes,
      .out = static_cast<std::byte*>(out),
      .stride = out_stride,
      .global_scales = {w.parts().front().global_scale, w.parts().back().global_scale},
      .tiles_count = static_cast<int>(tiles),
      .col_tiles = static_cast<int>(w.col_tiles()),
      .rows = static_cast<int>(rows)};
  const int ctas = static_cast<int>((tiles + kWarps - 1) / kWarps);
  if (plain) return launch_early(dequantise_tiles<RowOrder::kPlain>, ctas, kWarps * 32, 0, stream, arguments);
  launch_early(dequantise_tiles<RowOrder::kGateUp>, ctas, kWarps * 32, 0, stream, arguments);
}

void dequantise(void* out, const DenseView& w, cudaStream_t stream) {
  NVLLM_CHECK(w.format == DenseFormat::kFp8);
  const std::int64_t count = w.rows * w.stride / 8;
  if (count == 0) return;
  launch_early(dequantise_codes, static_cast<int>((count + 255) / 256), 256, 0, stream, static_cast<uint4*>(out),
               static_cast<const uint2*>(w.data), w.scales, static_cast<long long>(count));
}

}  // namespace nvllm::cuda
