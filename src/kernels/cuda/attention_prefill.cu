// Attention of many rows of one sequence. The first kernel brings the new keys and values into the cache; in the
// second a CTA takes 64 rows of one head and walks over the cache in tiles of 64 positions, which it keeps as BF16 in
// shared memory whatever the cache's format. Each of its four warps owns 16 rows. Weights are the sum of two BF16.

#include <cuda_bf16.h>

#include <cmath>

#include "base/check.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/kv_format.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/matrix.cuh"
#include "kernels/cuda/ptx/shared.cuh"
#include "kernels/cuda/rope.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kWarps = 4, kThreads = kWarps * 32;
constexpr int kTile = 64;  // rows of a CTA, and positions of a step

struct PrefillParameters {
  AttentionArguments arguments;
  Lane lane;
  int lane_index;
  float score_factor;
};

/// Elements to a head's vector at a position of the cache, or -1 if its block is none.
template <int kHeadDim>
__device__ __forceinline__ long long cache_offset(const PrefillParameters& p, int position, int kv_head) {
  const AttentionArguments& a = p.arguments;
  const int index = position / a.geometry.block_tokens;
  if (index >= a.step.blocks_per_lane) return -1;
  const int block = __ldcg(a.step.blocks + static_cast<long long>(p.lane_index) * a.step.blocks_per_lane + index);
  if (block < 0 || block >= a.block_count) return -1;
  const long long head = static_cast<long long>(block) * a.geometry.kv_heads + kv_head;
  return (head * a.geometry.block_tokens + position - index * a.geometry.block_tokens) * kHeadDim;
}

/// A warp takes the key or the value of one row and head.
template <int kHeadDim, KvFormat kFormat>
__global__ void __launch_bounds__(kThreads) write_kernel(const __grid_constant__ PrefillParameters p) {
  __shared__ __align__(16) float floats[kWarps][kHeadDim];
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const AttentionArguments& a = p.arguments;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, half = a.geometry.rotary_dims / 2;
  const int unit = blockIdx.x * kWarps + warp, kv_heads = a.geometry.kv_heads;
  const int index = unit / (2 * kv_heads), kv_head = unit / 2 % kv_heads;
  if (index >= p.lane.token_count) return;
  const long long row = p.lane.first_row + index;
  const bool is_key = unit % 2 == 0;
  const auto* from = is_key ? reinterpret_cast<const __nv_bfloat16*>(a.key) + row * a.key_stride
                            : reinterpret_cast<const __nv_bfloat16*>(a.value) + row * a.value_stride;
  const bool turns = is_key && a.cosine != nullptr;
  prepare_head<kHeadDim>(floats[warp], from + kv_head * kHeadDim, is_key ? a.k_norm : DeviceNorm{},
                         turns ? a.cosine + row * half : nullptr, turns ? a.sine + row * half : nullptr, half, lane);
  const long long offset = cache_offset<kHeadDim>(p, p.lane.start + index, kv_head);
  if (offset < 0) return;
  auto* cache = static_cast<std::byte*>(is_key ? a.keys : a.values) + offset * KvCodes<kFormat>::kBytes;
  store_head<kHeadDim, kFormat>(cache, floats[warp], is_key ? a.key_scale : a.value_scale, lane);
}

__device__ __forceinline__ void load_matrices(std::uint32_t (&to)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}

__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&to)[4], std::uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}

/// Two E4M3 codes as BF16, which holds them exactly.
__device__ __forceinline__ std::uint32_t e4m3_pair_to_bf16(std::uint32_t codes) {
  const std::uint32_t bits = e4m3_pair_to_f16(codes);
  const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&bits));
  return pack_bf16(pair.x, pair.y);
}

template <int kHeadDim>
constexpr int kStride = kHeadDim + 8;  // elements; rows of a matrix begin in different banks
template <int kHeadDim>
constexpr int kTileBytes = kTile * kStride<kHeadDim> * 2;

/// A warp's 16 positions of a tile into shared memory; zeros beyond `end` and where there is no block.
template <int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void load_run(const void* cache, long long offset, int left, std::byte* to, int lane) {
  constexpr int kElements = 16 / KvCodes<kFormat>::kBytes, kPieces = kHeadDim / kElements, kRows = 32 / kPieces;
  const auto* from = static_cast<const uint4*>(cache) + offset / kElements + lane % kPieces;
#pragma unroll 8
  for (int row = lane / kPieces; row < 16; row += kRows) {
    uint4 codes{0, 0, 0, 0};
    if (offset >= 0 && row < left) codes = from[row * kPieces];
    std::byte* at = to + (row * kStride<kHeadDim> + lane % kPieces * kElements) * 2;
    if constexpr (kFormat == KvFormat::kBf16) {
      *reinterpret_cast<uint4*>(at) = codes;
    } else {
      *reinterpret_cast<uint4*>(at) = {e4m3_pair_to_bf16(codes.x), e4m3_pair_to_bf16(codes.x >> 16), e4m3_pair_to_bf16(codes.y),
                                       e4m3_pair_to_bf16(codes.y >> 16)};
      *reinterpret_cast<uint4*>(at + 16) = {e4m3_pair_to_bf16(codes.z), e4m3_pair_to_bf16(codes.z >> 16),
                                            e4m3_pair_to_bf16(codes.w), e4m3_pair_to_bf16(codes.w >> 16)};
    }
  }
}

/// A warp's 16 rows as the attention reads them; rows that the sequence does not have are zeros.
template <int kHeadDim>
__device__ __forceinline__ void prepare_rows(const PrefillParameters& p, int head, int first, std::byte* to, float* floats, int lane) {
  const AttentionArguments& a = p.arguments;
  const int half = a.geometry.rotary_dims / 2;
  for (int r = 0; r < 16; ++r) {
    auto* at = reinterpret_cast<std::uint32_t*>(to + r * kStride<kHeadDim> * 2);
    const bool there = first + r < p.lane.token_count;
    if (there) {
      const long long row = p.lane.first_row + first + r;
      const auto* from = reinterpret_cast<const __nv_bfloat16*>(a.query) + row * a.query_stride + head * (a.has_gate ? 2 : 1) * kHeadDim;
      prepare_head<kHeadDim>(floats, from, a.q_norm, a.cosine == nullptr ? nullptr : a.cosine + row * half,
                             a.cosine == nullptr ? nullptr : a.sine + row * half, half, lane);
    }
#pragma unroll
    for (int i = 0; i < kHeadDim / 64; ++i) {
      const float2 x = there ? *reinterpret_cast<const float2*>(floats + 64 * i + 2 * lane) : float2{0, 0};
      at[32 * i + lane] = pack_bf16(x.x, x.y);
    }
    __syncwarp();  // the next row uses the same floats
  }
}

template <int kHeadDim>
__device__ __forceinline__ void put_rows(const PrefillParameters& p, const float (&sums)[kHeadDim / 8][4], const float (&scale)[2], int head,
                                         int first, int lane) {
  const AttentionArguments& a = p.arguments;
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (first + g + 8 * r >= p.lane.token_count) continue;
    const long long row = p.lane.first_row + first + g + 8 * r;
    auto* out = reinterpret_cast<__nv_bfloat16*>(a.out) + row * a.out_stride + head * kHeadDim + 2 * t;
    const auto* gates = reinterpret_cast<const __nv_bfloat16*>(a.query) + row * a.query_stride + (2 * head + 1) * kHeadDim + 2 * t;
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; ++n) {
      float x = sums[n][2 * r] * scale[r], y = sums[n][2 * r + 1] * scale[r];
      if (a.has_gate) {
        const std::uint32_t pair = __ldcg(reinterpret_cast<const std::uint32_t*>(gates + 8 * n));
        const float2 gate = __bfloat1622float2(reinterpret_cast<const __nv_bfloat162&>(pair));
        x = round_bf16(x) * rounded_sigmoid(gate.x);
        y = round_bf16(y) * rounded_sigmoid(gate.y);
      }
      *reinterpret_cast<std::uint32_t*>(out + 8 * n) = pack_bf16(x, y);
    }
  }
}

/// Scores to weights, in place, for a warp's rows g and g + 8; what was summed before is scaled to the new maximum.
template <int kHeadDim>
__device__ __forceinline__ void weigh(float (&scores)[kTile / 8][4], float (&sums)[kHeadDim / 8][4], float (&largest)[2], float (&total)[2],
                                      float factor, int limit, int lane) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float top = largest[r];
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& score = scores[n][2 * r + i];
        // Position n * 8 + 2 t + i of the tile; `limit` is the last that row g may see.
        score = n * 8 + lane % 4 * 2 + i <= limit + 8 * r ? score * factor : -INFINITY;
        top = fmaxf(top, score);
      }
    }
    top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
    top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
    const float scale = power_of_two(largest[r] - top);
    largest[r] = top;
    float more = 0;
#pragma unroll
    for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) more += scores[n][2 * r + i] = power_of_two(scores[n][2 * r + i] - top);
    }
    total[r] = total[r] * scale + more;  // of this thread's positions; the four threads' meet at the end
#pragma unroll
    for (int n = 0; n < kHeadDim / 8; ++n) {
      sums[n][2 * r] *= scale;
      sums[n][2 * r + 1] *= scale;
    }
  }
}

/// Two floats as two BF16 and what those leave over.
__device__ __forceinline__ void split_pair(float x, float y, std::uint32_t& high, std::uint32_t& low) {
  const float high_x = round_bf16(x), high_y = round_bf16(y);
  high = pack_bf16(high_x, high_y);
  low = pack_bf16(x - high_x, y - high_y);
}

template <int kHeadDim, KvFormat kFormat>
__global__ void __launch_bounds__(kThreads, 2) attend_kernel(const __grid_constant__ PrefillParameters p) {
  extern __shared__ __align__(16) std::byte shared[];
  constexpr int kBytesOfTile = kTileBytes<kHeadDim>, kRowBytes = kStride<kHeadDim> * 2;
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const AttentionArguments& a = p.arguments;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, heads = a.geometry.heads;
  const int tiles = (p.lane.token_count + kTile - 1) / kTile;
  const int tile = tiles - 1 - static_cast<int>(blockIdx.x) / heads;  // the longest first
  const int head = blockIdx.x % heads, kv_head = head / (heads / a.geometry.kv_heads);
  const int first = tile * kTile + warp * 16, row_limit = p.lane.start + first + lane / 4;
  const int end = p.lane.start + min(p.lane.token_count, (tile + 1) * kTile);
  std::byte *query = shared + warp * 16 * kRowBytes, *keys = shared + kBytesOfTile, *values = keys + kBytesOfTile;
  prepare_rows<kHeadDim>(p, head, first, query, reinterpret_cast<float*>(keys) + warp * kHeadDim, lane);

  float sums[kHeadDim / 8][4] = {};
  float largest[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
  const std::uint32_t query_at = ptx::shared_address(query) + lane % 16 * kRowBytes + lane / 16 * 16;
  const std::uint32_t keys_at = ptx::shared_address(keys) + (lane % 8 + lane / 16 * 8) * kRowBytes + lane / 8 % 2 * 16;
  const std::uint32_t values_at = ptx::shared_address(values) + lane % 16 * kRowBytes + lane / 16 * 16;
  for (int position = 0; position < end; position += kTile) {
    __syncthreads();  // everyone is done with what stands there
    const int run = position + warp * 16;
    const long long offset = run < end ? cache_offset<kHeadDim>(p, run, kv_head) : -1;
    load_run<kHeadDim, kFormat>(a.keys, offset, end - run, keys + warp * 16 * kRowBytes, lane);
    load_run<kHeadDim, kFormat>(a.values, offset, end - run, values + warp * 16 * kRowBytes, lane);
    __syncthreads();
    float scores[kTile / 8][4] = {};
#pragma unroll 4
    for (int k = 0; k < kHeadDim / 16; ++k) {
      std::uint32_t q[4];
      load_matrices(q, query_at + k * 32);
#pragma unroll
      for (int n = 0; n < kTile / 16; ++n) {
        std::uint32_t b[4];
        load_matrices(b, keys_at + n * 16 * kRowBytes + k * 32);
        ptx::multiply_16x8x16(scores[2 * n], q, b[0], b[1]);
        ptx::multiply_16x8x16(scores[2 * n + 1], q, b[2], b[3]);
      }
    }
    weigh<kHeadDim>(scores, sums, largest, total, p.score_factor, row_limit - position, lane);
#pragma unroll
    for (int k = 0; k < kTile / 16; ++k) {
      std::uint32_t high[4], low[4];
      split_pair(scores[2 * k][0], scores[2 * k][1], high[0], low[0]);
      split_pair(scores[2 * k][2], scores[2 * k][3], high[1], low[1]);
      split_pair(scores[2 * k + 1][0], scores[2 * k + 1][1], high[2], low[2]);
      split_pair(scores[2 * k + 1][2], scores[2 * k + 1][3], high[3], low[3]);
#pragma unroll
      for (int n = 0; n < kHeadDim / 16; ++n) {
        std::uint32_t b[4];
        load_matrices_transposed(b, values_at + k * 16 * kRowBytes + n * 32);
        ptx::multiply_16x8x16(sums[2 * n], high, b[0], b[1]);
        ptx::multiply_16x8x16(sums[2 * n + 1], high, b[2], b[3]);
        ptx::multiply_16x8x16(sums[2 * n], low, b[0], b[1]);
        ptx::multiply_16x8x16(sums[2 * n + 1], low, b[2], b[3]);
      }
    }
  }
  float scale[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    total[r] += __shfl_xor_sync(~0u, total[r], 1);
    total[r] += __shfl_xor_sync(~0u, total[r], 2);
    scale[r] = a.value_scale / total[r];
  }
  put_rows<kHeadDim>(p, sums, scale, head, first, lane);
}

template <int kHeadDim, KvFormat kFormat>
void launch(const PrefillParameters& p, cudaStream_t stream) {
  constexpr int kBytes = 3 * kTileBytes<kHeadDim>;
  static const bool allowed = [] {
    check(cudaFuncSetAttribute(attend_kernel<kHeadDim, kFormat>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
          "asking for shared memory");
    return true;
  }();
  static_cast<void>(allowed);
  const AttentionGeometry& g = p.arguments.geometry;
  if (p.arguments.key != nullptr) {
    const int warps = p.lane.token_count * g.kv_heads * 2;
    launch_early(write_kernel<kHeadDim, kFormat>, (warps + kWarps - 1) / kWarps, kThreads, 0, stream, p);
  }
  const int tiles = (p.lane.token_count + kTile - 1) / kTile;
  launch_early(attend_kernel<kHeadDim, kFormat>, tiles * g.heads, kThreads, kBytes, stream, p);
}

template <int kHeadDim>
void launch_format(const PrefillParameters& p, cudaStream_t stream) {
  if (p.arguments.format == KvFormat::kFp8) return launch<kHeadDim, KvFormat::kFp8>(p, stream);
  launch<kHeadDim, KvFormat::kBf16>(p, stream);
}

}  // namespace

void attention_prefill(const AttentionArguments& arguments, const Lane& lane, int lane_index, CUstream_st* stream) {
  const AttentionGeometry& g = arguments.geometry;
  NVLLM_CHECK_EQ(g.heads % g.kv_heads, 0);
  NVLLM_CHECK_EQ(g.block_tokens % 16, 0);
  NVLLM_CHECK(g.rotary_dims <= g.head_dim);
  if (lane.token_count <= 0) return;
  constexpr float kLog2E = 1.4426950408889634f;
  const float factor = kLog2E / std::sqrt(static_cast<float>(g.head_dim)) * arguments.key_scale;
  const PrefillParameters p{arguments, lane, lane_index, factor};
  switch (g.head_dim) {
    case 64: return launch_format<64>(p, stream);
    case 128: return launch_format<128>(p, stream);
    default:
      NVLLM_CHECK_EQ(g.head_dim, 256);
      launch_format<256>(p, stream);
  }
}

}  // namespace nvllm::cuda
