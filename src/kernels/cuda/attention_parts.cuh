#pragma once

// What the two forms of attention of one token a sequence share: the cut of a step into items, how a warp holds 16
// positions of keys and of values, the row's own query, key and value, and how a sequence's chunks meet. An item of work
// is one sequence, up to eight query heads of one KV head, and a chunk of positions. Keys go from memory straight into
// the registers of the tensor cores' first operand, positions by columns, with the queries as the second; the columns of
// a product may stand in any order, so a thread's 16 bytes are used where they land. Values enter transposed, columns by
// positions, paired across two rows in registers. A sequence's chunks meet in a workspace, and the CTA that arrives last
// adds them in order.
//   What is told a Layout wants an AttentionRun with the places of a form's shared memory.

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

inline constexpr int kAttentionLanesMax = 256;

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

/// How a warp holds a run of 16 positions over `kColumns` of a head's columns.
template <int kDim, KvFormat kKv, int kColumns>
struct AttentionRun {
  using Codes = KvCodes<kKv>;
  static constexpr int kHeadDim = kDim;
  static constexpr KvFormat kFormat = kKv;
  static constexpr int kHeads = kAttentionGroupHeads;
  static constexpr int kSlice = kColumns;
  static constexpr int kSlices = kHeadDim / kSlice;
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
  static constexpr int kWeightParts = Codes::kTwoPartWeights ? 2 : 1;
  // Keeps a warp's reads of queries in different banks.
  static constexpr int kQueryStride = kHeadDim + (kFormat == KvFormat::kFp8 ? 8 : 32);
};

/// One item of work; the same in all threads of a CTA.
struct AttentionItem {
  int lane, kv_head, start, end;  // positions [first, end); `start` is the row's own
  int first, row, group, chunk, chunks;

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
    item.kv_head = static_cast<int>(static_cast<unsigned>(item.group) / static_cast<unsigned>(a.groups_per_kv));
    item.chunk = within - item.group * work.chunks;
    item.chunks = work.chunks;
    item.first = item.chunk * work.chunk_tokens;
    item.end = min(length, item.first + work.chunk_tokens);
    next += gridDim.x;
    return true;
  }
};

/// The item that a CTA is at, in shared memory, so that no registers keep all of it over its positions.
struct ItemPlace {
  AttentionItem item;
  int next;  // AttentionItems::next
};

/// A thread's part of a run's keys and of its values.
template <class Layout>
struct RunRegisters {
  std::uint32_t keys[2][Layout::kKeyLoads][4];
  std::uint32_t values[4][Layout::kValueLoads][Layout::kValueBytes / 4];
};

/// Where the positions of an item end that the cache has already.
__device__ __forceinline__ int cached_end(const AttentionParameters& a, const AttentionItem& item) {
  return a.arguments.key == nullptr ? item.end : min(item.end, item.start);
}

/// The cache's block in which `position` of an item stands; -1 if nowhere.
__device__ __forceinline__ int block_of(const AttentionParameters& a, const AttentionItem& item, int position) {
  const StepTable& step = a.arguments.step;
  if (position >= item.end) return -1;
  const int index = static_cast<int>(__umulhi(static_cast<unsigned>(position), a.block_magic));
  if (index >= step.blocks_per_lane) return -1;
  const int block = __ldcg(step.blocks + static_cast<long long>(item.lane) * step.blocks_per_lane + index);
  return block < a.arguments.block_count ? block : -1;
}

/// The cache's row, of head_dim elements, where a run begins that begins at `position` and stands in this block; less than 0
/// if nowhere.
__device__ __forceinline__ int row_in(int block, const AttentionParameters& a, const AttentionItem& item, int position) {
  const AttentionGeometry& geometry = a.arguments.geometry;
  const int index = static_cast<int>(__umulhi(static_cast<unsigned>(position), a.block_magic));
  const int within = position - index * geometry.block_tokens;
  return block < 0 ? -1 : (block * geometry.kv_heads + item.kv_head) * geometry.block_tokens + within;
}

__device__ __forceinline__ int run_row(const AttentionParameters& a, const AttentionItem& item, int position) {
  return row_in(block_of(a, item, position), a, item, position);
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

/// Keys of a run's positions g and g + 8 that the cache holds, the first `cached`; zeros for others.
template <class Layout>
__device__ __forceinline__ void load_keys(RunRegisters<Layout>& run, const AttentionParameters& a, int row, int cached, int slice,
                                          int lane) {
  constexpr int kRow = Layout::kHeadDim * Layout::Codes::kBytes;
  const std::byte* from = static_cast<const std::byte*>(a.arguments.keys) + static_cast<long long>(row + lane / 4) * kRow +
                          (slice * Layout::kSlice * Layout::Codes::kBytes + lane % 4 * 16);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const bool there = row >= 0 && lane / 4 < cached - 8 * r;
#pragma unroll
    for (int i = 0; i < Layout::kKeyLoads; ++i) {
      run.keys[r][i][0] = run.keys[r][i][1] = run.keys[r][i][2] = run.keys[r][i][3] = 0;
      if (there) load_words(run.keys[r][i], from + 8 * r * kRow + 64 * i);
    }
  }
}

/// The four positions of a run that a thread pairs, after 2 t: 0, 1, 8, 9.
__device__ __forceinline__ constexpr int value_row(int r) { return (r & 1) + (r & 2) * 4; }

/// Values of the positions that a thread pairs, as load_keys.
template <class Layout>
__device__ __forceinline__ void load_values(RunRegisters<Layout>& run, const AttentionParameters& a, int row, int cached, int slice,
                                            int lane) {
  constexpr int kRow = Layout::kHeadDim * Layout::Codes::kBytes;
  const std::byte* from = static_cast<const std::byte*>(a.arguments.values) + static_cast<long long>(row + lane % 4 * 2) * kRow +
                          (slice * Layout::kSlice * Layout::Codes::kBytes + lane / 4 * Layout::kValueBytes);
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const bool there = row >= 0 && lane % 4 * 2 < cached - value_row(r);
#pragma unroll
    for (int i = 0; i < Layout::kValueLoads; ++i) {
#pragma unroll
      for (int w = 0; w < Layout::kValueBytes / 4; ++w) run.values[r][i][w] = 0;
      if (there) load_words(run.values[r][i], from + value_row(r) * kRow + 8 * Layout::kValueBytes * i);
    }
  }
}

/// Queries into the second operand's rows, the new key and value into their place and, once, into the cache. Heads that
/// the model does not have are zeros.
template <class Layout>
__device__ __forceinline__ void prepare_item(const AttentionParameters& a, const AttentionItem& item, std::byte* shared, int thread) {
  constexpr int kHeadDim = Layout::kHeadDim;
  const AttentionArguments& arguments = a.arguments;
  const int warp = thread / 32, lane = thread % 32, half = arguments.geometry.rotary_dims / 2;
  const int within = item.group - item.kv_head * a.groups_per_kv;
  const long long row = item.row;
  const float* cosine = arguments.cosine == nullptr ? nullptr : arguments.cosine + row * half;
  const float* sine = arguments.sine + row * half;
  float* floats = reinterpret_cast<float*>(shared) + warp * kHeadDim;
  // One code for the three kinds of head: instructions that run once cost what it takes to fetch them.
  if (warp >= Layout::kHeads + 2) return;
  const bool is_query = warp < Layout::kHeads, is_key = warp == Layout::kHeads;
  const int of_ratio = within * Layout::kHeads + warp, head = item.kv_head * a.ratio + of_ratio;
  const bool there = is_query ? of_ratio < a.ratio : arguments.key != nullptr && item.has_own();
  const Bf16* from = is_query ? arguments.query + row * arguments.query_stride + head * (arguments.has_gate ? 2 : 1) * kHeadDim
                     : is_key ? arguments.key + row * arguments.key_stride + item.kv_head * kHeadDim
                              : arguments.value + row * arguments.value_stride + item.kv_head * kHeadDim;
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
  // Opaque, or both reciprocals are worked out before the first item and stand in registers over all of them.
  const float scale = ptx::opaque_float(is_key ? arguments.key_scale : arguments.value_scale);
  std::byte* own = shared + Layout::kOwnAt + (is_key ? 0 : kHeadDim * Layout::Codes::kBytes);
  store_head<kHeadDim, Layout::kFormat>(own, floats, scale, lane);
  const int to = run_row(a, item, item.start);
  if (to < 0 || within != 0) return;
  __syncwarp();
  // What stands in shared memory goes to the cache as it is, 4 bytes a lane.
  auto* cache = static_cast<std::byte*>(is_key ? arguments.keys : arguments.values) + static_cast<long long>(to) * kHeadDim * Layout::Codes::kBytes;
#pragma unroll
  for (int at = lane * 4; at < kHeadDim * Layout::Codes::kBytes; at += 128) {
    *reinterpret_cast<std::uint32_t*>(cache + at) = *reinterpret_cast<const std::uint32_t*>(own + at);
  }
}

/// The new key in the place of what the cache holds, for a run of which it is number `own`; outside [0, 16): of none.
template <class Layout>
__device__ __forceinline__ void take_own_key(RunRegisters<Layout>& run, const std::byte* shared, int slice, int lane, int own) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (lane / 4 + 8 * r != own) continue;
    const std::byte* from = shared + Layout::kOwnAt + slice * Layout::kSlice * Layout::Codes::kBytes + lane % 4 * 16;
#pragma unroll
    for (int i = 0; i < Layout::kKeyLoads; ++i) load_shared_words(run.keys[r][i], from + 64 * i);
  }
}

/// The same for the new value.
template <class Layout>
__device__ __forceinline__ void take_own_value(RunRegisters<Layout>& run, const std::byte* shared, int slice, int lane, int own) {
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    if (lane % 4 * 2 != own - value_row(r)) continue;
    const std::byte* from = shared + Layout::kOwnAt + (Layout::kHeadDim + slice * Layout::kSlice) * Layout::Codes::kBytes +
                            lane / 4 * Layout::kValueBytes;
#pragma unroll
    for (int i = 0; i < Layout::kValueLoads; ++i) load_shared_words(run.values[r][i], from + 8 * Layout::kValueBytes * i);
  }
}

/// A run's products with the queries over a slice: positions g and g + 8 by heads 2 t and 2 t + 1.
template <class Layout>
__device__ __forceinline__ float4 multiply_keys(const RunRegisters<Layout>& run, const std::byte* shared, int slice, int lane) {
  const int g = lane / 4, t = lane % 4;
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
        Layout::Codes::four(run.keys[0][i], j + odd, k[0], k[2]);
        Layout::Codes::four(run.keys[1][i], j + odd, k[1], k[3]);
        Layout::Codes::multiply(sums[odd], k, odd == 0 ? q.x : q.z, odd == 0 ? q.y : q.w);
      }
    }
  }
  return {sums[0][0] + sums[1][0], sums[0][1] + sums[1][1], sums[0][2] + sums[1][2], sums[0][3] + sums[1][3]};
}

/// sums += values · weights for a run and 16 columns of a slice; b[part] are the weights as the second operand.
template <class Layout>
__device__ __forceinline__ void multiply_values(float (&sums)[4], const RunRegisters<Layout>& run,
                                                const std::uint32_t (&b)[Layout::kWeightParts][2], int product) {
  constexpr int kPairs = Layout::kValueElements / 2;
  std::uint32_t v[4];
  Layout::Codes::across(run.values[0][product / kPairs], run.values[1][product / kPairs], product % kPairs, v[0], v[1]);
  Layout::Codes::across(run.values[2][product / kPairs], run.values[3][product / kPairs], product % kPairs, v[2], v[3]);
#pragma unroll
  for (int part = 0; part < Layout::kWeightParts; ++part) Layout::Codes::multiply(sums, v, b[part][0], b[part][1]);
}

/// A unit is what one thread holds of one product: two columns by two heads, in the order slice, product, t, g.
template <class Layout>
__device__ __forceinline__ void put_unit(const AttentionParameters& a, const AttentionItem& item, int unit, float4 sum) {
  constexpr int kHeadDim = Layout::kHeadDim;
  const AttentionArguments& arguments = a.arguments;
  constexpr int kPairs = Layout::kValueElements / 2;
  const int g = unit % 8, t = unit / 8 % 4, p = unit / 32 % Layout::kProducts, slice = unit / 32 / Layout::kProducts;
  const int col = slice * Layout::kSlice + p / kPairs * 8 * Layout::kValueElements + g * Layout::kValueElements + p % kPairs * 2;
  const long long row = item.row;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int of_ratio = (item.group - item.kv_head * a.groups_per_kv) * Layout::kHeads + 2 * t + i;
    if (of_ratio >= a.ratio) continue;
    const int head = item.kv_head * a.ratio + of_ratio;
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

/// Adds the chunks of a sequence and group in order; all of the CTA's threads take part. `thread` is threadIdx.x: a form
/// whose registers are spoken for hides it (ptx::opaque), or what is worked out of it stands in registers over its loop.
template <int kThreads, class Layout>
__device__ __forceinline__ void combine_chunks(const AttentionParameters& a, const AttentionItem& item, std::byte* shared, int thread) {
  float* weights = reinterpret_cast<float*>(shared + Layout::kChunkWeightsAt);  // [chunks, 8]
  const long long place = (static_cast<long long>(item.lane) * a.groups + item.group) * a.chunks_max;
  const int warp = thread / 32, lane = thread % 32;
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
  for (int unit = thread; unit < Layout::kUnits; unit += kThreads) {
    const int t = unit / 8 % 4;
    if ((item.group - item.kv_head * a.groups_per_kv) * Layout::kHeads + 2 * t >= a.ratio) continue;
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
    put_unit<Layout>(a, item, unit, sum);
  }
}

/// Adds `kGroups` warps' sums of units [first, first + kCount), which stand in `meeting` as [groups, kCount], in order,
/// and leaves them in the workspace; all of the CTA's threads take part.
template <int kThreads, int kGroups, int kCount, class Layout>
__device__ __forceinline__ void leave_units(const AttentionParameters& a, const AttentionItem& item, const float4* meeting, int first,
                                            int thread) {
  const long long place = (static_cast<long long>(item.lane) * a.groups + item.group) * a.chunks_max + item.chunk;
#pragma unroll 1
  for (int unit = thread; unit < kCount; unit += kThreads) {
    const int t = unit / 8 % 4;
    if ((item.group - item.kv_head * a.groups_per_kv) * Layout::kHeads + 2 * t >= a.ratio) continue;
    float4 sum = meeting[unit];
#pragma unroll
    for (int group = 1; group < kGroups; ++group) {
      const float4 more = meeting[group * kCount + unit];
      sum = {sum.x + more.x, sum.y + more.y, sum.z + more.z, sum.w + more.w};
    }
    __stcg(a.partials + place * Layout::kUnits + first + unit, sum);
  }
}

/// Ends an item whose units are left and whose statistics stand in shared memory: the CTA that arrives last of a sequence
/// and group adds the chunks. All of the CTA's threads take part.
template <int kThreads, class Layout>
__device__ __forceinline__ void end_item(const AttentionParameters& a, const AttentionItem& item, std::byte* shared, int thread) {
  const auto* statistics = reinterpret_cast<const float2*>(shared + Layout::kStatisticsAt);
  const long long index = static_cast<long long>(item.lane) * a.groups + item.group;
  const long long place = index * a.chunks_max + item.chunk;
  if (thread < Layout::kHeads) __stcg(a.statistics + place * Layout::kHeads + thread, statistics[thread]);
  __syncthreads();
  auto* arrived = reinterpret_cast<unsigned*>(shared + Layout::kArrivedAt);
  if (item.chunks == 1) {
    *arrived = 0;
  } else if (thread == 0) {
    *arrived = ptx::add_acquire_release(a.arrivals + index, 1);
    if (*arrived == static_cast<unsigned>(item.chunks) - 1) a.arrivals[index] = 0;
  }
  __syncthreads();
  if (*arrived == static_cast<unsigned>(item.chunks) - 1) combine_chunks<kThreads, Layout>(a, item, shared, thread);
}

}  // namespace nvllm::cuda
