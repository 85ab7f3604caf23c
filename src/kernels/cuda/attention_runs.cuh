#pragma once

// Attention of one token a sequence, in runs: the form of the kernel of its own. Twelve warps take runs of 16 positions
// in turns, each with all columns of its KV head and with its own largest score, sum of weights and sums of values; none
// waits for another before the item ends, where they meet in the order of warps. So a warp's loads are on their way while
// others multiply, and nothing but memory sets the pace. It wants 168 registers a thread for what it holds: 12 warps.
//   attention_phase.cuh, the form within a phrase, has 16 warps at 128 registers, because the products beside it do.
//   Bytes on their way at 256 columns: a run's keys and values of FP8, or one of both of BF16, are 8 KB a warp, 96 KB a
//   multiprocessor.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/attention_parts.cuh"

namespace nvllm::cuda {

/// How many warps a CTA has, and CTAs a multiprocessor; registers are 65536 / 32 / (warps · CTAs), in eights.
inline constexpr int kRunWarps = 12, kRunCtas = 1;

/// Where things stand in a CTA's shared memory.
template <int kDim, KvFormat kKv, int kWarpCount = kRunWarps>
struct RunsLayout : AttentionRun<kDim, kKv, kDim> {
  using Run = AttentionRun<kDim, kKv, kDim>;
  static constexpr int kWarps = kWarpCount;
  static constexpr int kThreads = kWarps * 32;
  static constexpr int kTurn = 16 * kWarps;  // positions from a warp's run to its next
  static constexpr int kLeast = attention_least_tokens(AttentionForm::kRuns, kDim);
  // The warps' sums meet in parts that leave room for what else a multiprocessor of 100 KB holds.
  static constexpr int kMeetings = kDim > 128 ? 2 : 1;
  static constexpr int kMeetingProducts = Run::kProducts / kMeetings;
  static constexpr int kMeetingUnits = kMeetingProducts * 32;

  // Before, the heads' rows of floats stand here.
  static constexpr int kMeetingBytes = std::max(kWarps * kMeetingUnits * 16, (Run::kHeads + 2) * kDim * 4);
  static constexpr int kChunkWeightsAt = 0;  // at the end
  static constexpr int kWarpStatisticsAt = kMeetingBytes;
  static constexpr int kQueryAt = kWarpStatisticsAt + kWarps * Run::kHeads * 8;
  static constexpr int kOwnAt = kQueryAt + Run::kHeads * Run::kQueryStride * 2;  // the new key and value
  static constexpr int kStatisticsAt = kOwnAt + 2 * kDim * Run::Codes::kBytes;
  static constexpr int kArrivedAt = kStatisticsAt + Run::kHeads * 8;
  static constexpr int kPlaceAt = kArrivedAt + 16;
  static constexpr int kLanesAt = kPlaceAt + 48;
  static constexpr int kItemsAt = kLanesAt + kAttentionLanesMax * 16;
  static constexpr int kBytes = kItemsAt + (kAttentionLanesMax + 4) * 4;
  static_assert(sizeof(ItemPlace) <= kLanesAt - kPlaceAt);
  static_assert(kWarps >= Run::kHeads + 2);  // prepare_item gives each head one
  static_assert(kAttentionItemsPerSequence * Run::kHeads * 4 <= kMeetingBytes);
  static_assert(kRunCtas * (kBytes + 1024) <= 100 * 1024);
};

/// What a warp has of its runs so far: for heads 2 t and 2 t + 1 the largest score of the warp, the sum of this thread's
/// own positions' weights, and its share of the sums of values.
template <class Layout>
struct RunSums {
  float largest[2] = {-INFINITY, -INFINITY}, weights[2] = {};
  float values[Layout::kProducts][4] = {};
};

/// The larger of the warp's threads of equal t.
__device__ __forceinline__ float largest_of_heads(float value) {
#pragma unroll
  for (int distance = 4; distance < 32; distance *= 2) value = fmaxf(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

/// Makes a run's products with the queries (multiply_keys) its weights, as the second operand of the values' product.
/// Sums so far are scaled only where a larger score came; by 1 it would change nothing. `count`: positions that there are.
template <class Layout>
__device__ __forceinline__ void weigh_run(float4 products, float score_factor, int count, int lane, RunSums<Layout>& sums,
                                          std::uint32_t (&b)[Layout::kWeightParts][2]) {
  const int g = lane / 4;
  const bool low = g < count, high = g + 8 < count;
  float x[4] = {low ? products.x * score_factor : -INFINITY, low ? products.y * score_factor : -INFINITY,
                high ? products.z * score_factor : -INFINITY, high ? products.w * score_factor : -INFINITY};
  const float top[2] = {largest_of_heads(fmaxf(sums.largest[0], fmaxf(x[0], x[2]))),
                        largest_of_heads(fmaxf(sums.largest[1], fmaxf(x[1], x[3])))};
  if (__any_sync(~0u, top[0] > sums.largest[0] || top[1] > sums.largest[1])) {
    const float factors[2] = {power_of_two(sums.largest[0] - top[0]), power_of_two(sums.largest[1] - top[1])};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int p = 0; p < Layout::kProducts; ++p) sums.values[p][i] *= factors[i % 2];
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      sums.weights[i] *= factors[i];
      sums.largest[i] = top[i];
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x[i] = power_of_two(x[i] - sums.largest[i % 2]);
    sums.weights[i % 2] += x[i];
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {  // positions 0 to 7, and 8 to 15
    if constexpr (Layout::kWeightParts == 1) {
      b[0][half] = ptx::transpose_8x8(pack_f16(x[2 * half], x[2 * half + 1]));
    } else {
      const float first = round_bf16(x[2 * half]), second = round_bf16(x[2 * half + 1]);
      b[0][half] = ptx::transpose_8x8(pack_bf16(first, second));
      b[1][half] = ptx::transpose_8x8(pack_bf16(x[2 * half] - first, x[2 * half + 1] - second));
    }
  }
}

/// Where this warp's first run of an item begins.
__device__ __forceinline__ int first_run(const AttentionItem& item) { return item.first + static_cast<int>(threadIdx.x / 32) * 16; }

/// What a run asks of its item, read again from shared memory each time: registers are spoken for.
struct RunItem {
  int end, cached;  // what there is of the item ends at, and what the cache has of it
  AttentionItem item{};

  __device__ __forceinline__ RunItem(const AttentionParameters& a, std::uint32_t place) {
    static_assert(offsetof(AttentionItem, lane) == 0 && offsetof(AttentionItem, kv_head) == 4 && offsetof(AttentionItem, start) == 8 &&
                  offsetof(AttentionItem, end) == 12);
    const uint4 words = ptx::load_shared_16(place);
    item.lane = static_cast<int>(words.x);
    item.kv_head = static_cast<int>(words.y);
    item.start = static_cast<int>(words.z);
    item.end = end = static_cast<int>(words.w);
    cached = cached_end(a, item);
  }
  /// The row's own position, counted from a run that begins here; from 16 on it is not in it.
  __device__ __forceinline__ int own(int at) const { return cached < end ? cached - at : 16; }
};

/// All runs of the CTA's item that fall to this warp. `run` holds the first one's keys, and its values where it holds both.
template <class Layout>
__device__ __forceinline__ void take_runs(const AttentionParameters& a, const std::byte* shared, RunRegisters<Layout>& run,
                                          RunSums<Layout>& sums) {
  // Opaque, or what each use works out of it stands in registers over the loop.
  const int lane = static_cast<int>(ptx::opaque(threadIdx.x % 32));
  const auto* of_all = reinterpret_cast<const ItemPlace*>(shared + Layout::kPlaceAt);
  const std::uint32_t place = ptx::shared_address(of_all);
#pragma unroll 1
  for (int at = first_run(of_all->item);; at += Layout::kTurn) {
    const int next = at + Layout::kTurn;
    int block;  // of the next run, asked for long before its rows are
    {
      const RunItem of(a, place);
      if (at >= of.end) break;
      block = block_of(a, of.item, next);
      if (of.own(at) < 16) take_own_key<Layout>(run, shared, 0, lane, of.own(at));
    }
    const float4 products = multiply_keys<Layout>(run, shared, 0, lane);
    std::uint32_t b[Layout::kWeightParts][2];
    {
      const RunItem of(a, place);
      if constexpr (Layout::kHoldsBoth) {
        load_keys<Layout>(run, a, row_in(block, a, of.item, next), of.cached - next, 0, lane);
      } else {
        load_values<Layout>(run, a, run_row(a, of.item, at), of.cached - at, 0, lane);  // no register was left for its block
      }
      weigh_run<Layout>(products, a.score_factor, of.end - at, lane, sums, b);
      if (of.own(at) < 16) take_own_value<Layout>(run, shared, 0, lane, of.own(at));
    }
#pragma unroll
    for (int p = 0; p < Layout::kProducts; ++p) multiply_values<Layout>(sums.values[p], run, b, p);
    const RunItem of(a, place);
    const int row = row_in(block, a, of.item, next);
    if constexpr (Layout::kHoldsBoth) {
      load_values<Layout>(run, a, row, of.cached - next, 0, lane);
    } else {
      load_keys<Layout>(run, a, row, of.cached - next, 0, lane);
    }
  }
}

/// Brings all warps' sums to the item's largest scores, adds them in the order of warps, and ends the item.
template <class Layout>
__device__ __forceinline__ void finish_runs(const AttentionParameters& a, const AttentionItem& item, std::byte* shared,
                                            RunSums<Layout>& sums) {
  const int thread = static_cast<int>(ptx::opaque(threadIdx.x)), warp = thread / 32, lane = thread % 32, t = lane % 4;
  auto* of_warps = reinterpret_cast<float4*>(shared + Layout::kWarpStatisticsAt);  // [warps, 4]: largest and sum of two heads
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int distance = 4; distance < 32; distance *= 2) sums.weights[i] += __shfl_xor_sync(~0u, sums.weights[i], distance);
  }
  if (lane < 4) of_warps[warp * 4 + t] = {sums.largest[0], sums.weights[0], sums.largest[1], sums.weights[1]};
  __syncthreads();
  float top[2] = {-INFINITY, -INFINITY};
#pragma unroll
  for (int w = 0; w < Layout::kWarps; ++w) {
    const float4 of = of_warps[w * 4 + t];
    top[0] = fmaxf(top[0], of.x);
    top[1] = fmaxf(top[1], of.z);
  }
  if (thread < 4) {
    float sum[2] = {};
#pragma unroll
    for (int w = 0; w < Layout::kWarps; ++w) {
      const float4 of = of_warps[w * 4 + t];
      sum[0] += of.y * power_of_two(of.x - top[0]);
      sum[1] += of.w * power_of_two(of.z - top[1]);
    }
    reinterpret_cast<float4*>(shared + Layout::kStatisticsAt)[t] = {top[0], sum[0], top[1], sum[1]};
  }
  const float factors[2] = {power_of_two(sums.largest[0] - top[0]), power_of_two(sums.largest[1] - top[1])};
  float4* meeting = reinterpret_cast<float4*>(shared);  // [warps, units of a meeting]
#pragma unroll
  for (int part = 0; part < Layout::kMeetings; ++part) {
    if (part > 0) __syncthreads();
    float4* to = meeting + warp * Layout::kMeetingUnits + t * 8 + lane / 4;
#pragma unroll
    for (int p = 0; p < Layout::kMeetingProducts; ++p) {
      const float(&of)[4] = sums.values[part * Layout::kMeetingProducts + p];
      to[32 * p] = {of[0] * factors[0], of[1] * factors[1], of[2] * factors[0], of[3] * factors[1]};
    }
    __syncthreads();
    leave_units<Layout::kThreads, Layout::kWarps, Layout::kMeetingUnits, Layout>(a, item, meeting, part * Layout::kMeetingUnits,
                                                                                 thread);
  }
  end_item<Layout::kThreads, Layout>(a, item, shared, thread);
}

/// Asks for the first run that an item has for this warp.
template <class Layout>
__device__ __forceinline__ void ask_first(const AttentionParameters& a, const AttentionItem& item, RunRegisters<Layout>& run) {
  const int at = first_run(item), lane = threadIdx.x % 32;
  const int row = run_row(a, item, at), cached = cached_end(a, item) - at;
  load_keys<Layout>(run, a, row, cached, 0, lane);
  if constexpr (Layout::kHoldsBoth) load_values<Layout>(run, a, row, cached, 0, lane);
}

/// All work of this CTA, of Layout::kThreads threads. The step's rows, its table and everything that earlier steps wrote
/// must be there.
template <class Layout>
__device__ __forceinline__ void attention_runs(const AttentionParameters& a, std::byte* shared) {
  auto* lanes = reinterpret_cast<LaneWork*>(shared + Layout::kLanesAt);
  auto* items_before = reinterpret_cast<int*>(shared + Layout::kItemsAt);
  auto* place = reinterpret_cast<ItemPlace*>(shared + Layout::kPlaceAt);
  list_lanes<Layout::kLeast>(a, lanes, items_before);
  __syncthreads();
  AttentionItems items{lanes, items_before, static_cast<int>(blockIdx.x)};
  AttentionItem item;
  while (items.take(a, item)) {
    if (threadIdx.x == 0) *place = {item, items.next};
    RunRegisters<Layout> run;
    ask_first<Layout>(a, item, run);
    prepare_item<Layout>(a, item, shared, static_cast<int>(ptx::opaque(threadIdx.x)));
    __syncthreads();
    RunSums<Layout> sums;
    take_runs<Layout>(a, shared, run, sums);
    finish_runs<Layout>(a, place->item, shared, sums);
    items.lane = place->item.lane;
    items.next = place->next;
    __syncthreads();  // the next item uses the same shared memory
  }
}

}  // namespace nvllm::cuda
