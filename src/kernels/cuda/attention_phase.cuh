#pragma once

// Attention of one token a sequence. An item of work is one sequence, up to eight query heads of one KV head, and a
// chunk of positions; a CTA takes a chunk tile by tile. Sixteen warps stand as groups of 16 positions by slices of up
// to 128 columns. Keys go from memory straight into the registers of the tensor cores' first operand, positions by
// columns, with the queries as the second; the columns of a product may stand in any order, so a thread's 16 bytes are
// used where they land. Values enter transposed, columns by positions, paired across two rows in registers. The next
// tile's loads are issued as soon as the registers of this one are free. A sequence's chunks meet in a workspace, and
// the CTA that arrives last adds them in order.

#include <cuda_bf16.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/kv_format.cuh"
#include "kernels/cuda/ptx/matrix.cuh"
#include "kernels/cuda/ptx/shared.cuh"
#include "kernels/cuda/rope.cuh"

namespace nvllm::cuda {

inline constexpr int kAttentionWarps = 16;
inline constexpr int kAttentionLanesMax = 256;
inline constexpr int kAttentionItemsPerSequence = 132;  // at most, but for models of more KV heads

inline int attention_chunks_max(const AttentionGeometry& g) { return std::max(1, kAttentionItemsPerSequence / attention_groups(g)); }

struct AttentionParameters {
  AttentionArguments arguments;
  float4* partials;    // [lanes, groups, chunks_max, units]
  float2* statistics;  // [lanes, groups, chunks_max, 8]: largest score and sum of weights
  unsigned* arrivals;  // [lanes, groups]
  unsigned block_magic;  // a position's upper product with it is its block
  int ratio, groups_per_kv, groups, chunks_max;
  float score_factor;  // of a product, to the exponent of two

  AttentionParameters(const AttentionArguments& a, const AttentionWorkspace& workspace);
};

/// Where things stand in a CTA's shared memory, and how a tile is laid over its warps.
template <int kHeadDim, KvFormat kFormat>
struct AttentionLayout {
  using Codes = KvCodes<kFormat>;
  static constexpr int kHeads = kAttentionGroupHeads;
  static constexpr int kSlice = kHeadDim < 128 ? kHeadDim : 128;
  static constexpr int kSlices = kHeadDim / kSlice;
  static constexpr int kGroups = kAttentionWarps / kSlices;
  static constexpr int kTile = 16 * kGroups;  // positions
  static_assert(kTile == attention_tile_tokens(kHeadDim));
  static constexpr int kProducts = kSlice / 16;  // of 16 columns
  static constexpr int kUnits = kSlices * kProducts * 32;  // of 2 columns by 2 heads: a thread's sums of one product
  // Keys: a thread's load is 16 bytes of a row, four threads stand side by side.
  static constexpr int kKeyElements = 16 / Codes::kBytes;
  static constexpr int kKeyLoads = kSlice / (4 * kKeyElements);
  // Bytes in flight against registers: codes of one byte leave room for the next keys and the values at once.
  static constexpr bool kHoldsBoth = Codes::kBytes == 1;
  // Values: eight threads stand side by side.
  static constexpr int kValueBytes = kSlice * Codes::kBytes / 8 < 16 ? 8 : 16;
  static constexpr int kValueElements = kValueBytes / Codes::kBytes;
  static constexpr int kValueLoads = kSlice / (8 * kValueElements);
  // Strides that keep a warp's accesses in different banks.
  static constexpr int kQueryStride = kHeadDim + (kFormat == KvFormat::kFp8 ? 8 : 32);
  static constexpr int kScoreStride = kTile + 4;
  static constexpr int kWeightStride = kTile + 8;

  static constexpr int kMeetingBytes = kGroups * kUnits * 16;  // also the heads' rows of floats, before
  static constexpr int kScoresAt = kMeetingBytes;
  static constexpr int kWeightsAt = kScoresAt + kSlices * kHeads * kScoreStride * 4;
  static constexpr int kWeightParts = Codes::kTwoPartWeights ? 2 : 1;
  static constexpr int kQueryAt = kWeightsAt + kWeightParts * kHeads * kWeightStride * 2;
  static constexpr int kOwnAt = kQueryAt + kHeads * kQueryStride * 2;  // the new key and value
  static constexpr int kFactorsAt = kOwnAt + 2 * kHeadDim * Codes::kBytes;
  static constexpr int kStatisticsAt = kFactorsAt + kHeads * 4;
  static constexpr int kArrivedAt = kStatisticsAt + kHeads * 8;
  static constexpr int kLanesAt = kArrivedAt + 16;
  static constexpr int kItemsAt = kLanesAt + kAttentionLanesMax * 16;
  static constexpr int kBytes = kItemsAt + (kAttentionLanesMax + 4) * 4;
  static_assert((kHeads + 2) * kHeadDim * 4 <= kMeetingBytes);
  static_assert(kAttentionItemsPerSequence * kHeads * 4 <= kQueryAt - kScoresAt);  // the chunks' weights, at the end
  static_assert(kBytes <= 99 * 1024);
};

/// Bytes of dynamic shared memory that attention_phase needs.
template <int kHeadDim, KvFormat kFormat>
inline constexpr int kAttentionSharedBytes = AttentionLayout<kHeadDim, kFormat>::kBytes;

/// One item of work; the same in all threads of a CTA.
struct AttentionItem {
  int lane, row, start, group, chunk, chunks, first, end;  // positions [first, end)

  __device__ __forceinline__ bool has_own() const { return end > start; }
};

/// A lane as its items see it.
struct LaneWork {
  int row, start, chunk_tokens, chunks;
};

/// Fills the CTA's table of lanes and of the items before each. Unless the step says how long items are at least, the cut
/// depends on a sequence's length alone, so that its bits do not depend on its neighbours.
template <int kTile>
__device__ __forceinline__ void list_lanes(const AttentionParameters& a, LaneWork* lanes, int* items_before) {
  const StepTable& step = a.arguments.step;
  if (threadIdx.x >= 32) return;
  const int least = step.chunk_tokens == nullptr ? kTile : max(kTile, __ldcg(step.chunk_tokens));
  int before = 0;
#pragma unroll 1
  for (int first = 0; first < step.lane_count; first += 32) {
    const int index = first + static_cast<int>(threadIdx.x);
    LaneWork work{0, 0, 1, 0};
    if (index < step.lane_count) {
      const int4 of = __ldcg(reinterpret_cast<const int4*>(step.lanes + index));  // first_row, token_count, start, slot
      const int length = of.y == 1 ? of.z + 1 : 0;
      work.row = of.x;
      work.start = of.z;
      work.chunk_tokens = max(least, ((length + a.chunks_max - 1) / a.chunks_max + 15) / 16 * 16);
      work.chunks = (length + work.chunk_tokens - 1) / work.chunk_tokens;
      lanes[index] = work;
    }
    int items = work.chunks * a.groups;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      const int more = __shfl_up_sync(~0u, items, distance);
      if (static_cast<int>(threadIdx.x) >= distance) items += more;
    }
    if (index < step.lane_count) items_before[index + 1] = before + items;
    before += __shfl_sync(~0u, items, 31);
  }
  if (threadIdx.x == 0) items_before[0] = 0;
}

/// Items in the order of lanes, groups and chunks.
struct AttentionItems {
  const LaneWork* lanes;
  const int* items_before;
  int next, lane = 0;

  __device__ __forceinline__ bool take(const AttentionParameters& a, AttentionItem& item) {
    while (lane < a.arguments.step.lane_count && next >= items_before[lane + 1]) ++lane;
    if (lane >= a.arguments.step.lane_count) return false;
    const LaneWork work = lanes[lane];
    const int within = next - items_before[lane], length = work.start + 1;
    item.lane = lane;
    item.row = work.row;
    item.start = work.start;
    item.group = static_cast<int>(static_cast<unsigned>(within) / static_cast<unsigned>(work.chunks));
    item.chunk = within - item.group * work.chunks;
    item.chunks = work.chunks;
    item.first = item.chunk * work.chunk_tokens;
    item.end = min(length, item.first + work.chunk_tokens);
    next += gridDim.x;
    return true;
  }
};

/// A thread's part of one tile of keys and of values.
template <class Layout>
struct TileRegisters {
  std::uint32_t keys[2][Layout::kKeyLoads][4];
  std::uint32_t values[4][Layout::kValueLoads][Layout::kValueBytes / 4];
};

/// Where a warp's 16 positions of a tile stand in the cache: the element offset, or -1 if nowhere.
template <int kHeadDim>
__device__ __forceinline__ long long run_offset(const AttentionParameters& a, const AttentionItem& item, int position) {
  const AttentionArguments& arguments = a.arguments;
  if (position >= item.end) return -1;
  const int index = static_cast<int>(__umulhi(static_cast<unsigned>(position), a.block_magic));
  if (index >= arguments.step.blocks_per_lane) return -1;
  const int block = __ldcg(arguments.step.blocks + static_cast<long long>(item.lane) * arguments.step.blocks_per_lane + index);
  if (block < 0 || block >= arguments.block_count) return -1;
  const int within = position - index * arguments.geometry.block_tokens;
  const long long head = static_cast<long long>(block) * arguments.geometry.kv_heads + item.group / a.groups_per_kv;
  return (head * arguments.geometry.block_tokens + within) * kHeadDim;
}

template <int kWords>
__device__ __forceinline__ void load_words(std::uint32_t (&to)[kWords], const std::byte* from) {
  if constexpr (kWords == 4) {
    const uint4 x = __ldcg(reinterpret_cast<const uint4*>(from));
    to[0] = x.x, to[1] = x.y, to[2] = x.z, to[3] = x.w;
  } else {
    const uint2 x = __ldcg(reinterpret_cast<const uint2*>(from));
    to[0] = x.x, to[1] = x.y;
  }
}

template <int kWords>
__device__ __forceinline__ void load_shared_words(std::uint32_t (&to)[kWords], const std::byte* from) {
#pragma unroll
  for (int i = 0; i < kWords; ++i) to[i] = reinterpret_cast<const std::uint32_t*>(from)[i];
}

/// Keys of positions `position` + g and + 8 that the cache holds; zeros for others.
template <int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void load_keys(TileRegisters<AttentionLayout<kHeadDim, kFormat>>& tile, const AttentionParameters& a,
                                          long long offset, int cached, int slice, int lane) {
  using Layout = AttentionLayout<kHeadDim, kFormat>;
  const int bytes = Layout::Codes::kBytes;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int position = lane / 4 + 8 * r;
    const std::byte* from = static_cast<const std::byte*>(a.arguments.keys) +
                            (offset + position * kHeadDim + slice * Layout::kSlice) * bytes + lane % 4 * 16;
#pragma unroll
    for (int i = 0; i < Layout::kKeyLoads; ++i) {
      tile.keys[r][i][0] = tile.keys[r][i][1] = tile.keys[r][i][2] = tile.keys[r][i][3] = 0;
      if (offset >= 0 && position < cached) load_words(tile.keys[r][i], from + 64 * i);
    }
  }
}

/// The four positions of a run that a thread pairs: 2 t, 2 t + 1, 2 t + 8, 2 t + 9.
__device__ __forceinline__ int value_position(int r, int lane) { return lane % 4 * 2 + (r & 1) + (r & 2) * 4; }

template <int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void load_values(TileRegisters<AttentionLayout<kHeadDim, kFormat>>& tile, const AttentionParameters& a,
                                            long long offset, int cached, int slice, int lane) {
  using Layout = AttentionLayout<kHeadDim, kFormat>;
  const int bytes = Layout::Codes::kBytes;
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int position = value_position(r, lane);
    const std::byte* from = static_cast<const std::byte*>(a.arguments.values) +
                            (offset + position * kHeadDim + slice * Layout::kSlice) * bytes + lane / 4 * Layout::kValueBytes;
#pragma unroll
    for (int i = 0; i < Layout::kValueLoads; ++i) {
#pragma unroll
      for (int w = 0; w < Layout::kValueBytes / 4; ++w) tile.values[r][i][w] = 0;
      if (offset >= 0 && position < cached) load_words(tile.values[r][i], from + 8 * Layout::kValueBytes * i);
    }
  }
}

/// Queries into the second operand's rows, the new key and value into their place and, once, into the cache. Heads that
/// the model does not have are zeros.
template <int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void prepare_item(const AttentionParameters& a, const AttentionItem& item, std::byte* shared) {
  using Layout = AttentionLayout<kHeadDim, kFormat>;
  const AttentionArguments& arguments = a.arguments;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, half = arguments.geometry.rotary_dims / 2;
  const int kv_head = item.group / a.groups_per_kv, within = item.group % a.groups_per_kv;
  const long long row = item.row;
  const float* cosine = arguments.cosine == nullptr ? nullptr : arguments.cosine + row * half;
  const float* sine = arguments.sine + row * half;
  float* floats = reinterpret_cast<float*>(shared) + warp * kHeadDim;
  // One code for the three kinds of head: instructions that run once cost what it takes to fetch them.
  if (warp >= Layout::kHeads + 2) return;
  const bool is_query = warp < Layout::kHeads, is_key = warp == Layout::kHeads;
  const int of_ratio = within * Layout::kHeads + warp, head = kv_head * a.ratio + of_ratio;
  const bool there = is_query ? of_ratio < a.ratio : arguments.key != nullptr && item.has_own();
  const Bf16* from = is_query ? arguments.query + row * arguments.query_stride + head * (arguments.has_gate ? 2 : 1) * kHeadDim
                     : is_key ? arguments.key + row * arguments.key_stride + kv_head * kHeadDim
                              : arguments.value + row * arguments.value_stride + kv_head * kHeadDim;
  if (there) {
    DeviceNorm norm = is_query ? arguments.q_norm : arguments.k_norm;
    if (!is_query && !is_key) norm.gain = nullptr;
    prepare_head<kHeadDim>(floats, reinterpret_cast<const __nv_bfloat16*>(from), norm, is_query || is_key ? cosine : nullptr, sine, half,
                           lane);
  }
  if (is_query) {
    std::uint32_t* to = reinterpret_cast<std::uint32_t*>(shared + Layout::kQueryAt) + warp * Layout::kQueryStride / 2;
#pragma unroll
    for (int i = 0; i < kHeadDim / 64; ++i) {
      const float2 x = there ? *reinterpret_cast<const float2*>(floats + 64 * i + 2 * lane) : float2{0, 0};
      to[32 * i + lane] = Layout::Codes::pack(x.x * Layout::Codes::kQueryFactor, x.y * Layout::Codes::kQueryFactor);
    }
    return;
  }
  if (!there) return;
  const float scale = is_key ? arguments.key_scale : arguments.value_scale;
  std::byte* own = shared + Layout::kOwnAt + (is_key ? 0 : kHeadDim * Layout::Codes::kBytes);
  store_head<kHeadDim, kFormat>(own, floats, scale, lane);
  const long long offset = run_offset<kHeadDim>(a, item, item.start);
  if (offset < 0 || within != 0) return;
  __syncwarp();
  // What stands in shared memory goes to the cache as it is, 4 bytes a lane.
  auto* cache = static_cast<std::byte*>(is_key ? arguments.keys : arguments.values) + offset * Layout::Codes::kBytes;
#pragma unroll
  for (int at = lane * 4; at < kHeadDim * Layout::Codes::kBytes; at += 128) {
    *reinterpret_cast<std::uint32_t*>(cache + at) = *reinterpret_cast<const std::uint32_t*>(own + at);
  }
}

/// Scores of a warp's 16 positions by 8 heads over its slice, into shared memory.
template <int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void multiply_keys(TileRegisters<AttentionLayout<kHeadDim, kFormat>>& tile, std::byte* shared, int group,
                                              int slice, int lane, int own) {
  using Layout = AttentionLayout<kHeadDim, kFormat>;
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (g + 8 * r != own) continue;
    const std::byte* from = shared + Layout::kOwnAt + slice * Layout::kSlice * Layout::Codes::kBytes + t * 16;
#pragma unroll
    for (int i = 0; i < Layout::kKeyLoads; ++i) load_shared_words(tile.keys[r][i], from + 64 * i);
  }
  const std::byte* query = shared + Layout::kQueryAt + (g * Layout::kQueryStride + slice * Layout::kSlice + t * Layout::kKeyElements) * 2;
  float sums[2][4] = {};
#pragma unroll
  for (int i = 0; i < Layout::kKeyLoads; ++i) {
    constexpr int kSteps = Layout::kKeyElements / 4;
#pragma unroll
    for (int j = 0; j < kSteps; j += 2) {
      const uint4 q = *reinterpret_cast<const uint4*>(query + (i * 4 * Layout::kKeyElements + 4 * j) * 2);
#pragma unroll
      for (int odd = 0; odd < 2; ++odd) {
        std::uint32_t k[4];
        Layout::Codes::four(tile.keys[0][i], j + odd, k[0], k[2]);
        Layout::Codes::four(tile.keys[1][i], j + odd, k[1], k[3]);
        Layout::Codes::multiply(sums[odd], k, odd == 0 ? q.x : q.z, odd == 0 ? q.y : q.w);
      }
    }
  }
  float* scores = reinterpret_cast<float*>(shared + Layout::kScoresAt) +
                  (slice * Layout::kHeads + 2 * t) * Layout::kScoreStride + group * 16 + g;
  scores[0] = sums[0][0] + sums[1][0];
  scores[Layout::kScoreStride] = sums[0][1] + sums[1][1];
  scores[8] = sums[0][2] + sums[1][2];
  scores[Layout::kScoreStride + 8] = sums[0][3] + sums[1][3];
}

/// Weights of a tile for one head by one warp. `largest` and `sum` are of all tiles so far.
template <int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void weigh(const AttentionParameters& a, std::byte* shared, int head, int lane, int count, float& largest,
                                      float& sum) {
  using Layout = AttentionLayout<kHeadDim, kFormat>;
  constexpr int kEach = Layout::kTile / 32;
  const float* scores = reinterpret_cast<const float*>(shared + Layout::kScoresAt) + head * Layout::kScoreStride + lane;
  float values[kEach], top = largest;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    float score = scores[32 * i];
    if constexpr (Layout::kSlices == 2) score += scores[32 * i + Layout::kHeads * Layout::kScoreStride];
    values[i] = lane + 32 * i < count ? score * a.score_factor : -INFINITY;
    top = fmaxf(top, values[i]);
  }
  top = largest_of_warp(top);
  const float factor = power_of_two(largest - top);
  float more = 0;
  using Pair = std::conditional_t<kFormat == KvFormat::kFp8, __half, __nv_bfloat16>;
  Pair* weights = reinterpret_cast<Pair*>(shared + Layout::kWeightsAt) + head * Layout::kWeightStride + lane;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const float weight = power_of_two(values[i] - top);
    more += weight;
    if constexpr (kFormat == KvFormat::kFp8) {
      weights[32 * i] = __float2half_rn(weight);
    } else {
      const float high = round_bf16(weight);
      weights[32 * i] = __float2bfloat16_rn(high);
      weights[32 * i + Layout::kHeads * Layout::kWeightStride] = __float2bfloat16_rn(weight - high);
    }
  }
  sum = sum * factor + sum_of_warp(more);
  largest = top;
  if (lane == 0) {
    reinterpret_cast<float*>(shared + Layout::kFactorsAt)[head] = factor;
    reinterpret_cast<float2*>(shared + Layout::kStatisticsAt)[head] = {top, sum};
  }
}

/// sums += values · weights for a warp's 16 positions and slice.
template <int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void multiply_values(float (&sums)[AttentionLayout<kHeadDim, kFormat>::kProducts][4],
                                                TileRegisters<AttentionLayout<kHeadDim, kFormat>>& tile, const std::byte* shared,
                                                int group, int slice, int lane, int own) {
  using Layout = AttentionLayout<kHeadDim, kFormat>;
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    if (value_position(r, lane) != own) continue;
    const std::byte* from = shared + Layout::kOwnAt + (kHeadDim + slice * Layout::kSlice) * Layout::Codes::kBytes + g * Layout::kValueBytes;
#pragma unroll
    for (int i = 0; i < Layout::kValueLoads; ++i) load_shared_words(tile.values[r][i], from + 8 * Layout::kValueBytes * i);
  }
  const float2 factors = reinterpret_cast<const float2*>(shared + Layout::kFactorsAt)[t];
  std::uint32_t b[Layout::kWeightParts][2];
#pragma unroll
  for (int part = 0; part < Layout::kWeightParts; ++part) {
    const std::byte* from = shared + Layout::kWeightsAt +
                            ((part * Layout::kHeads + g) * Layout::kWeightStride + group * 16 + 2 * t) * 2;
    b[part][0] = *reinterpret_cast<const std::uint32_t*>(from);
    b[part][1] = *reinterpret_cast<const std::uint32_t*>(from + 16);
  }
#pragma unroll
  for (int p = 0; p < Layout::kProducts; ++p) {
    constexpr int kPairs = Layout::kValueElements / 2;
    std::uint32_t v[4];
    Layout::Codes::across(tile.values[0][p / kPairs], tile.values[1][p / kPairs], p % kPairs, v[0], v[1]);
    Layout::Codes::across(tile.values[2][p / kPairs], tile.values[3][p / kPairs], p % kPairs, v[2], v[3]);
    sums[p][0] *= factors.x;
    sums[p][1] *= factors.y;
    sums[p][2] *= factors.x;
    sums[p][3] *= factors.y;
#pragma unroll
    for (int part = 0; part < Layout::kWeightParts; ++part) Layout::Codes::multiply(sums[p], v, b[part][0], b[part][1]);
  }
}

/// A unit is what one thread holds of one product: two columns by two heads, in the order slice, product, t, g.
template <int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void put_unit(const AttentionParameters& a, const AttentionItem& item, int unit, float4 sum) {
  using Layout = AttentionLayout<kHeadDim, kFormat>;
  const AttentionArguments& arguments = a.arguments;
  constexpr int kPairs = Layout::kValueElements / 2;
  const int g = unit % 8, t = unit / 8 % 4, p = unit / 32 % Layout::kProducts, slice = unit / 32 / Layout::kProducts;
  const int col = slice * Layout::kSlice + p / kPairs * 8 * Layout::kValueElements + g * Layout::kValueElements + p % kPairs * 2;
  const long long row = item.row;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int of_ratio = item.group % a.groups_per_kv * Layout::kHeads + 2 * t + i;
    if (of_ratio >= a.ratio) continue;
    const int head = item.group / a.groups_per_kv * a.ratio + of_ratio;
    float x = i == 0 ? sum.x : sum.y, y = i == 0 ? sum.z : sum.w;
    if (arguments.has_gate) {
      const auto* gates = reinterpret_cast<const __nv_bfloat16*>(arguments.query) + row * arguments.query_stride +
                          (2 * head + 1) * kHeadDim + col;
      const std::uint32_t pair = __ldcg(reinterpret_cast<const std::uint32_t*>(gates));
      const float2 gate = __bfloat1622float2(reinterpret_cast<const __nv_bfloat162&>(pair));
      x = round_bf16(x) * rounded_sigmoid(gate.x);
      y = round_bf16(y) * rounded_sigmoid(gate.y);
    }
    auto* out = reinterpret_cast<__nv_bfloat16*>(arguments.out) + row * arguments.out_stride + head * kHeadDim + col;
    *reinterpret_cast<std::uint32_t*>(out) = pack_bf16(x, y);
  }
}

/// Adds the chunks of a sequence and group in order; all of the CTA's threads take part.
template <int kThreads, int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void combine_chunks(const AttentionParameters& a, const AttentionItem& item, std::byte* shared) {
  using Layout = AttentionLayout<kHeadDim, kFormat>;
  float* weights = reinterpret_cast<float*>(shared + Layout::kScoresAt);  // [chunks, 8]
  const long long place = (static_cast<long long>(item.lane) * a.groups + item.group) * a.chunks_max;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (warp < Layout::kHeads) {
    const float2* from = a.statistics + place * Layout::kHeads + warp;
    float top = -INFINITY, sum = 0;
    for (int c = lane; c < item.chunks; c += 32) top = fmaxf(top, __ldcg(from + c * Layout::kHeads).x);
    top = largest_of_warp(top);
    for (int c = lane; c < item.chunks; c += 32) {
      const float2 of = __ldcg(from + c * Layout::kHeads);
      const float weight = power_of_two(of.x - top);
      weights[c * Layout::kHeads + warp] = weight;
      sum += weight * of.y;
    }
    const float scale = __fdividef(a.arguments.value_scale, sum_of_warp(sum));
    for (int c = lane; c < item.chunks; c += 32) weights[c * Layout::kHeads + warp] *= scale;
  }
  __syncthreads();
#pragma unroll 1
  for (int unit = threadIdx.x; unit < Layout::kUnits; unit += kThreads) {
    const int t = unit / 8 % 4;
    if (item.group % a.groups_per_kv * Layout::kHeads + 2 * t >= a.ratio) continue;
    const float4* from = a.partials + place * Layout::kUnits + unit;
    float4 sum{0, 0, 0, 0};
#pragma unroll 8
    for (int c = 0; c < item.chunks; ++c) {
      const float4 more = __ldcg(from + c * Layout::kUnits);
      const float2 weight = reinterpret_cast<const float2*>(weights)[c * (Layout::kHeads / 2) + t];
      sum.x += more.x * weight.x;
      sum.y += more.y * weight.y;
      sum.z += more.z * weight.x;
      sum.w += more.w * weight.y;
    }
    put_unit<kHeadDim, kFormat>(a, item, unit, sum);
  }
}

/// Adds the warps' sums and ends the sequence, or leaves them for the CTA that arrives last.
template <int kThreads, int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void finish_item(const AttentionParameters& a, const AttentionItem& item, std::byte* shared,
                                            const float (&sums)[AttentionLayout<kHeadDim, kFormat>::kProducts][4]) {
  using Layout = AttentionLayout<kHeadDim, kFormat>;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float4* meeting = reinterpret_cast<float4*>(shared);  // [groups, units]
  if (warp < kAttentionWarps) {
    const int group = warp % Layout::kGroups, slice = warp / Layout::kGroups;
    float4* to = meeting + group * Layout::kUnits + slice * Layout::kProducts * 32 + lane % 4 * 8 + lane / 4;
#pragma unroll
    for (int p = 0; p < Layout::kProducts; ++p) to[32 * p] = {sums[p][0], sums[p][1], sums[p][2], sums[p][3]};
  }
  __syncthreads();
  const auto* statistics = reinterpret_cast<const float2*>(shared + Layout::kStatisticsAt);
  const long long index = static_cast<long long>(item.lane) * a.groups + item.group;
  const long long place = index * a.chunks_max + item.chunk;
#pragma unroll 1
  for (int unit = threadIdx.x; unit < Layout::kUnits; unit += kThreads) {
    const int t = unit / 8 % 4;
    if (item.group % a.groups_per_kv * Layout::kHeads + 2 * t >= a.ratio) continue;
    float4 sum = meeting[unit];
#pragma unroll
    for (int group = 1; group < Layout::kGroups; ++group) {
      const float4 more = meeting[group * Layout::kUnits + unit];
      sum = {sum.x + more.x, sum.y + more.y, sum.z + more.z, sum.w + more.w};
    }
    __stcg(a.partials + place * Layout::kUnits + unit, sum);
  }
  if (threadIdx.x < Layout::kHeads) __stcg(a.statistics + place * Layout::kHeads + threadIdx.x, statistics[threadIdx.x]);
  __syncthreads();
  auto* arrived = reinterpret_cast<unsigned*>(shared + Layout::kArrivedAt);
  if (item.chunks == 1) {
    *arrived = 0;
  } else if (threadIdx.x == 0) {
    *arrived = ptx::add_acquire_release(a.arrivals + index, 1);
    if (*arrived == static_cast<unsigned>(item.chunks) - 1) a.arrivals[index] = 0;
  }
  __syncthreads();
  if (*arrived == static_cast<unsigned>(item.chunks) - 1) combine_chunks<kThreads, kHeadDim, kFormat>(a, item, shared);
}

/// All work of this CTA. The step's rows, its table and everything that earlier steps wrote must be there; all threads
/// of the CTA take part, at least 512.
template <int kThreads, int kHeadDim, KvFormat kFormat>
__device__ __forceinline__ void attention_phase(const AttentionParameters& a, std::byte* shared) {
  using Layout = AttentionLayout<kHeadDim, kFormat>;
  static_assert(kThreads >= kAttentionWarps * 32);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const bool works = warp < kAttentionWarps;
  const int group = warp % Layout::kGroups, slice = warp / Layout::kGroups;
  auto* lanes = reinterpret_cast<LaneWork*>(shared + Layout::kLanesAt);
  auto* items_before = reinterpret_cast<int*>(shared + Layout::kItemsAt);
  list_lanes<Layout::kTile>(a, lanes, items_before);
  __syncthreads();
  AttentionItems items{lanes, items_before, static_cast<int>(blockIdx.x)};
  AttentionItem item;
  while (items.take(a, item)) {
    const int cached = a.arguments.key == nullptr ? item.end : min(item.end, item.start);
    TileRegisters<Layout> tile;
    int at = item.first + group * 16;  // this warp's positions of the tile
    if (works) {
      const long long offset = run_offset<kHeadDim>(a, item, at);
      load_keys<kHeadDim, kFormat>(tile, a, offset, cached - at, slice, lane);
      if constexpr (Layout::kHoldsBoth) load_values<kHeadDim, kFormat>(tile, a, offset, cached - at, slice, lane);
    }
    prepare_item<kHeadDim, kFormat>(a, item, shared);
    __syncthreads();
    float sums[Layout::kProducts][4] = {};
    float largest = -INFINITY, sum = 0;
    for (int first = item.first; first < item.end; first += Layout::kTile, at += Layout::kTile) {
      const int own = a.arguments.key == nullptr ? -1 : item.start - at;  // outside [0, 16): not among these
      long long offset = -1;  // of the next tile; of this one's values where they are not there yet
      if (works) {
        offset = run_offset<kHeadDim>(a, item, Layout::kHoldsBoth ? at + Layout::kTile : at);
        multiply_keys<kHeadDim, kFormat>(tile, shared, group, slice, lane, own);
        if constexpr (Layout::kHoldsBoth) {
          load_keys<kHeadDim, kFormat>(tile, a, offset, cached - at - Layout::kTile, slice, lane);
        } else {
          load_values<kHeadDim, kFormat>(tile, a, offset, cached - at, slice, lane);
        }
      }
      __syncthreads();
      if (warp < Layout::kHeads) weigh<kHeadDim, kFormat>(a, shared, warp, lane, item.end - first, largest, sum);
      __syncthreads();
      if (works) {
        multiply_values<kHeadDim, kFormat>(sums, tile, shared, group, slice, lane, own);
        if constexpr (Layout::kHoldsBoth) {
          load_values<kHeadDim, kFormat>(tile, a, offset, cached - at - Layout::kTile, slice, lane);
        } else {
          offset = run_offset<kHeadDim>(a, item, at + Layout::kTile);
          load_keys<kHeadDim, kFormat>(tile, a, offset, cached - at - Layout::kTile, slice, lane);
        }
      }
    }
    finish_item<kThreads, kHeadDim, kFormat>(a, item, shared, sums);
    __syncthreads();  // the next item uses the same shared memory
  }
}

}  // namespace nvllm::cuda
