#pragma once

// Attention of one token a sequence, in tiles: the form within a phrase, whose kernel has 16 warps for its products.
// A CTA takes a chunk of positions tile by tile. Sixteen warps stand as groups of 16 positions by slices of up to 128
// columns and meet twice a tile, at scores and at weights. The next tile's loads are issued as soon as the registers of
// this one are free. attention_runs.cuh, the kernel of its own, has fewer warps that need not meet, each with more
// registers than 16 warps could have.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/attention_parts.cuh"

namespace nvllm::cuda {

inline constexpr int kAttentionWarps = 16;

/// Where things stand in a CTA's shared memory, and how a tile is laid over its warps.
template <int kDim, KvFormat kKv>
struct AttentionLayout : AttentionRun<kDim, kKv, kDim < 128 ? kDim : 128> {
  using Run = AttentionRun<kDim, kKv, kDim < 128 ? kDim : 128>;
  static constexpr int kGroups = kAttentionWarps / Run::kSlices;
  static constexpr int kTile = 16 * kGroups;  // positions
  static_assert(kTile == attention_least_tokens(AttentionForm::kTiles, kDim));
  // Strides that keep a warp's accesses in different banks.
  static constexpr int kScoreStride = kTile + 4;
  static constexpr int kWeightStride = kTile + 8;

  static constexpr int kMeetingBytes = kGroups * Run::kUnits * 16;  // also the heads' rows of floats, before
  static constexpr int kScoresAt = kMeetingBytes;
  static constexpr int kChunkWeightsAt = kScoresAt;  // at the end
  static constexpr int kWeightsAt = kScoresAt + Run::kSlices * Run::kHeads * kScoreStride * 4;
  static constexpr int kQueryAt = kWeightsAt + Run::kWeightParts * Run::kHeads * kWeightStride * 2;
  static constexpr int kOwnAt = kQueryAt + Run::kHeads * Run::kQueryStride * 2;  // the new key and value
  static constexpr int kFactorsAt = kOwnAt + 2 * kDim * Run::Codes::kBytes;
  static constexpr int kStatisticsAt = kFactorsAt + Run::kHeads * 4;
  static constexpr int kArrivedAt = kStatisticsAt + Run::kHeads * 8;
  static constexpr int kPlaceAt = kArrivedAt + 16;
  static constexpr int kLanesAt = kPlaceAt + 48;
  static constexpr int kItemsAt = kLanesAt + kAttentionLanesMax * 16;
  static constexpr int kBytes = kItemsAt + (kAttentionLanesMax + 4) * 4;
  static_assert(sizeof(ItemPlace) <= kLanesAt - kPlaceAt);
  static_assert((Run::kHeads + 2) * kDim * 4 <= kMeetingBytes);
  static_assert(kAttentionItemsPerSequence * Run::kHeads * 4 <= kQueryAt - kChunkWeightsAt);
  static_assert(kBytes <= 99 * 1024);
};

/// Bytes of dynamic shared memory that attention_phase needs.
template <int kHeadDim, KvFormat kFormat>
inline constexpr int kAttentionSharedBytes = AttentionLayout<kHeadDim, kFormat>::kBytes;

/// Scores of a warp's 16 positions by 8 heads over its slice, into shared memory.
template <class Layout>
__device__ __forceinline__ void score_tile(RunRegisters<Layout>& run, std::byte* shared, int group, int slice, int lane, int own) {
  const int g = lane / 4, t = lane % 4;
  take_own_key<Layout>(run, shared, slice, lane, own);
  const float4 sums = multiply_keys<Layout>(run, shared, slice, lane);
  float* scores = reinterpret_cast<float*>(shared + Layout::kScoresAt) +
                  (slice * Layout::kHeads + 2 * t) * Layout::kScoreStride + group * 16 + g;
  scores[0] = sums.x;
  scores[Layout::kScoreStride] = sums.y;
  scores[8] = sums.z;
  scores[Layout::kScoreStride + 8] = sums.w;
}

/// Weights of a tile for one head by one warp. `largest` and `sum` are of all tiles so far.
template <class Layout>
__device__ __forceinline__ void weigh_tile(const AttentionParameters& a, std::byte* shared, int head, int lane, int count,
                                           float& largest, float& sum) {
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
  using Pair = std::conditional_t<Layout::kFormat == KvFormat::kFp8, __half, __nv_bfloat16>;
  Pair* weights = reinterpret_cast<Pair*>(shared + Layout::kWeightsAt) + head * Layout::kWeightStride + lane;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const float weight = power_of_two(values[i] - top);
    more += weight;
    if constexpr (Layout::kFormat == KvFormat::kFp8) {
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

/// sums = sums * factors + values · weights for a warp's 16 positions and slice.
template <class Layout>
__device__ __forceinline__ void add_tile(float (&sums)[Layout::kProducts][4], RunRegisters<Layout>& run, const std::byte* shared, int group,
                                         int slice, int lane, int own) {
  const int g = lane / 4, t = lane % 4;
  take_own_value<Layout>(run, shared, slice, lane, own);
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
    sums[p][0] *= factors.x;
    sums[p][1] *= factors.y;
    sums[p][2] *= factors.x;
    sums[p][3] *= factors.y;
    multiply_values<Layout>(sums[p], run, b, p);
  }
}

/// Adds the warps' sums and ends the sequence, or leaves them for the CTA that arrives last.
template <int kThreads, class Layout>
__device__ __forceinline__ void finish_item(const AttentionParameters& a, const AttentionItem& item, std::byte* shared,
                                            const float (&sums)[Layout::kProducts][4]) {
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  float4* meeting = reinterpret_cast<float4*>(shared);  // [groups, units]
  if (warp < kAttentionWarps) {
    const int group = warp % Layout::kGroups, slice = warp / Layout::kGroups;
    float4* to = meeting + group * Layout::kUnits + slice * Layout::kProducts * 32 + lane % 4 * 8 + lane / 4;
#pragma unroll
    for (int p = 0; p < Layout::kProducts; ++p) to[32 * p] = {sums[p][0], sums[p][1], sums[p][2], sums[p][3]};
  }
  __syncthreads();
  leave_units<kThreads, Layout::kGroups, Layout::kUnits, Layout>(a, item, meeting, 0, thread);
  end_item<kThreads, Layout>(a, item, shared, thread);
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
  auto* place = reinterpret_cast<ItemPlace*>(shared + Layout::kPlaceAt);
  AttentionItem item;
  while (items.take(a, item)) {
    // Codes of one byte leave registers for the item over its positions. Others would spill four bytes, and pay 4 us for having it
    // back from here piece by piece.
    if constexpr (!Layout::kHoldsBoth) {
      if (threadIdx.x == 0) *place = {item, items.next};
    }
    const int cached = cached_end(a, item);
    RunRegisters<Layout> run;
    int at = item.first + group * 16;  // this warp's positions of the tile
    if (works) {
      const int row = run_row(a, item, at);
      load_keys<Layout>(run, a, row, cached - at, slice, lane);
      if constexpr (Layout::kHoldsBoth) load_values<Layout>(run, a, row, cached - at, slice, lane);
    }
    prepare_item<Layout>(a, item, shared, static_cast<int>(threadIdx.x));
    __syncthreads();
    float sums[Layout::kProducts][4] = {};
    float largest = -INFINITY, sum = 0;
    for (int first = item.first; first < item.end; first += Layout::kTile, at += Layout::kTile) {
      const int own = cached < item.end ? cached - at : -1;  // outside [0, 16): not among these
      int row = -1;  // of the next tile; of this one's values where they are not there yet
      if (works) {
        row = run_row(a, item, Layout::kHoldsBoth ? at + Layout::kTile : at);
        score_tile<Layout>(run, shared, group, slice, lane, own);
        if constexpr (Layout::kHoldsBoth) {
          load_keys<Layout>(run, a, row, cached - at - Layout::kTile, slice, lane);
        } else {
          load_values<Layout>(run, a, row, cached - at, slice, lane);
        }
      }
      __syncthreads();
      if (warp < Layout::kHeads) weigh_tile<Layout>(a, shared, warp, lane, item.end - first, largest, sum);
      __syncthreads();
      if (works) {
        add_tile<Layout>(sums, run, shared, group, slice, lane, own);
        if constexpr (Layout::kHoldsBoth) {
          load_values<Layout>(run, a, row, cached - at - Layout::kTile, slice, lane);
        } else {
          row = run_row(a, item, at + Layout::kTile);
          load_keys<Layout>(run, a, row, cached - at - Layout::kTile, slice, lane);
        }
      }
    }
    if constexpr (Layout::kHoldsBoth) {
      finish_item<kThreads, Layout>(a, item, shared, sums);
    } else {
      finish_item<kThreads, Layout>(a, place->item, shared, sums);
      items.lane = place->item.lane;
      items.next = place->next;
    }
    __syncthreads();  // the next item uses the same shared memory
  }
}

}  // namespace nvllm::cuda
