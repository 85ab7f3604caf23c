// A token's distance is how far its logit lies below the largest, scaled by one over the
// temperature: never negative, so that distances order as the bits of their floats do. Those bits
// are a token's key; its weight is exp(-distance). Thresholds are found by histograms over ever
// smaller ranges of keys.

#include <cuda_runtime.h>

#include "base/check.h"
#include "kernels/cuda/draw.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/matrix.cuh"

namespace nvllm::cuda {

namespace {

using Mass = unsigned long long;

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;
constexpr int kBins = kThreads;     // one for each thread
constexpr float kBinsPerUnit = 32;  // of distance, in the first histogram: a power of two
constexpr int kAtOnce = 8;          // loads a thread has on their way
constexpr float kWhole = 0x1p40f;   // the largest token's weight
constexpr unsigned kFarthestKey = 0x7f7fffff;  // of what can be drawn at all

__device__ __forceinline__ Mass weight(unsigned key) {
  return static_cast<Mass>(__expf(-__uint_as_float(key)) * kWhole);
}

__device__ __forceinline__ Mass warp_total(Mass value) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) value += __shfl_xor_sync(0xffffffffu, value, lane);
  return value;
}

/// What each lane's value and those of all lanes before it come to.
template <class Value>
__device__ __forceinline__ Value warp_running(Value value) {
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    const Value before = __shfl_up_sync(0xffffffffu, value, by);
    if (threadIdx.x % 32 >= static_cast<unsigned>(by)) value += before;
  }
  return value;
}

/// A row of logits as keys.
struct Row {
  const float* logits;
  int vocab;
  float largest, scale;

  /// Calls use(id, key) for ids first + step * i below `end`, i ascending.
  template <class Use>
  __device__ __forceinline__ void each(int first, int step, int end, const Use& use) const {
#pragma unroll 1
    for (int begin = first; begin < end; begin += step * kAtOnce) {
      float logit[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i)
        logit[i] = begin + i * step < end ? __ldcg(logits + begin + i * step) : -INFINITY;
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) use(begin + i * step, key(logit[i]));
    }
  }
  __device__ __forceinline__ unsigned key(float logit) const {
    return __float_as_uint((largest - logit) * scale);
  }
};

struct Shared {
  unsigned counts[kBins];
  Mass masses[kBins];
  unsigned of_warps[kWarps];
  Mass mass_of_warps[kWarps];
  unsigned chosen;        ///< bin
  unsigned count_before;  ///< of all bins before it
  Mass mass_before;
};

/// A range of keys, and what lies before it.
struct Range {
  unsigned begin = 0, end = kFarthestKey + 1;
  unsigned count_before = 0;
  Mass mass_before = 0;
};

/// Adds keys of a range up in bins.
template <class BinOf>
__device__ __forceinline__ void count(Shared& shared, const Row& row, unsigned begin, unsigned end,
                                      const BinOf& bin_of) {
  shared.counts[threadIdx.x] = 0;
  shared.masses[threadIdx.x] = 0;
  __syncthreads();
  row.each(threadIdx.x, kThreads, row.vocab, [&](int, unsigned key) {
    if (key < begin || key >= end) return;
    const unsigned bin = bin_of(key);
    atomicAdd(&shared.counts[bin], 1u);
    if (const Mass mass = weight(key); mass > 0) atomicAdd(&shared.masses[bin], mass);
  });
  __syncthreads();
}

/// The bin in which count or mass, with what lies before the range, first reaches what is wanted,
/// as all bins together do; what lies before the range becomes what lies before that bin.
template <bool kByMass>
__device__ __forceinline__ unsigned choose(Shared& shared, Range& range, Mass wanted) {
  const int warp = threadIdx.x / 32;
  const unsigned count = shared.counts[threadIdx.x];
  const Mass mass = shared.masses[threadIdx.x];
  unsigned counts = warp_running(count);
  Mass masses = warp_running(mass);
  if (threadIdx.x % 32 == 31) {
    shared.of_warps[warp] = counts;
    shared.mass_of_warps[warp] = masses;
  }
  __syncthreads();
  counts += range.count_before;
  masses += range.mass_before;
  for (int i = 0; i < warp; ++i) {
    counts += shared.of_warps[i];
    masses += shared.mass_of_warps[i];
  }
  const bool reached = (kByMass ? masses : counts) >= wanted;
  const bool reached_before = (kByMass ? masses - mass : counts - count) >= wanted;
  if (reached && !reached_before) {
    shared.chosen = threadIdx.x;
    shared.count_before = counts - count;
    shared.mass_before = masses - mass;
  }
  __syncthreads();
  range.count_before = shared.count_before;
  range.mass_before = shared.mass_before;
  const unsigned chosen = shared.chosen;
  __syncthreads();
  return chosen;
}

/// The smallest key at which count or mass reaches what is wanted: at least 1, and no more than
/// keys below `end` have.
template <bool kByMass>
__device__ __forceinline__ Range threshold(Shared& shared, const Row& row, Mass wanted,
                                           unsigned end) {
  Range range;
  range.end = end;
  count(shared, row, range.begin, range.end, [](unsigned key) {
    return static_cast<unsigned>(
        fminf(__uint_as_float(key) * kBinsPerUnit, static_cast<float>(kBins - 1)));
  });
  const unsigned first = choose<kByMass>(shared, range, wanted);
  range.begin = __float_as_uint(static_cast<float>(first) / kBinsPerUnit);
  if (first < kBins - 1)
    range.end = min(range.end, __float_as_uint(static_cast<float>(first + 1) / kBinsPerUnit));
#pragma unroll 1
  while (range.end - range.begin > 1) {
    const unsigned begin = range.begin, width = range.end - begin;
    const int shift = max(0, 32 - __clz(static_cast<int>(width - 1)) - 10);  // kBins = 2^10
    count(shared, row, begin, range.end, [&](unsigned key) { return (key - begin) >> shift; });
    range.begin = begin + (choose<kByMass>(shared, range, wanted) << shift);
    range.end = min(range.end, range.begin + (1u << shift));
  }
  return range;
}

/// What may be drawn: keys below one, and so many that equal it, lowest ids first.
struct Kept {
  unsigned key = kFarthestKey + 1, ties = 0;
};

/// Mass and count of all keys below `end`.
__device__ __forceinline__ void total(Shared& shared, const Row& row, unsigned end,
                                      unsigned& count_out, Mass& mass_out) {
  unsigned counts = 0;
  Mass masses = 0;
  row.each(threadIdx.x, kThreads, row.vocab, [&](int, unsigned key) {
    if (key >= end) return;
    ++counts;
    masses += weight(key);
  });
  counts = __reduce_add_sync(0xffffffffu, counts);
  masses = warp_total(masses);
  if (threadIdx.x % 32 == 0) {
    shared.of_warps[threadIdx.x / 32] = counts;
    shared.mass_of_warps[threadIdx.x / 32] = masses;
  }
  __syncthreads();
  count_out = 0;
  mass_out = 0;
  for (int i = 0; i < kWarps; ++i) {
    count_out += shared.of_warps[i];
    mass_out += shared.mass_of_warps[i];
  }
  __syncthreads();
}

/// The id at which the mass of kept tokens passes `target`.
__device__ __forceinline__ int find(Shared& shared, const Row& row, const Kept& kept, Mass target) {
  // A run of ids for each warp: what is in it first, then within one of them.
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32,
            each = (row.vocab + kThreads - 1) / kThreads * 32;
  const int begin = min(warp * each, row.vocab), end = min(begin + each, row.vocab);
  const Mass tie_mass = kept.ties > 0 ? weight(kept.key) : 0;
  Mass below = 0;
  unsigned equal = 0;
  row.each(begin + lane, 32, end, [&](int, unsigned key) {
    below += key < kept.key ? weight(key) : 0;
    equal += key == kept.key;
  });
  below = warp_total(below);
  equal = __reduce_add_sync(0xffffffffu, equal);
  if (lane == 0) {
    shared.mass_of_warps[warp] = below;
    shared.of_warps[warp] = equal;
  }
  if (threadIdx.x == 0) shared.chosen = 0xffffffffu;
  __syncthreads();
  Mass before = 0;
  unsigned ties = kept.ties;
  for (int i = 0; i < warp; ++i) {
    const unsigned taken = min(ties, shared.of_warps[i]);
    before += shared.mass_of_warps[i] + taken * tie_mass;
    ties -= taken;
  }
  const Mass after = before + below + min(ties, equal) * tie_mass;
  if (before <= target && target < after) {  // one warp, all of its lanes
#pragma unroll 1
    for (int first = begin; first < end; first += 32) {
      const int id = first + lane;
      const unsigned key = id < end ? row.key(__ldcg(row.logits + id)) : kFarthestKey + 1;
      const bool tie = key == kept.key;
      const unsigned tied = __ballot_sync(0xffffffffu, tie);
      const bool drawable = key < kept.key || (tie && __popc(tied & ((1u << lane) - 1)) <
                                                          static_cast<int>(min(ties, 32u)));
      const Mass sum = before + warp_running(drawable ? weight(key) : 0);
      const unsigned past = __ballot_sync(0xffffffffu, drawable && sum > target);
      if (past != 0) {
        if (lane == 0)
          shared.chosen = static_cast<unsigned>(first + __ffs(static_cast<int>(past)) - 1);
        break;
      }
      before = __shfl_sync(0xffffffffu, sum, 31);
      ties -= min(ties, static_cast<unsigned>(__popc(tied)));
    }
  }
  __syncthreads();
  return static_cast<int>(shared.chosen);
}

__global__ void __launch_bounds__(kThreads)
    draw(DrawnToken* tokens, const DrawTask* tasks, const GreedyChoice* choices,
         const float* logits, long long stride, int vocab) {
  __shared__ Shared shared;
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const DrawTask task = tasks[blockIdx.x];
  const GreedyChoice choice = choices[task.row];
  if (choice.id < 0) {
    if (threadIdx.x == 0) tokens[blockIdx.x] = {};
    return;
  }
  const float* const of_row = logits + task.row * stride;
  const Row row{of_row, vocab, __ldcg(of_row + choice.id), task.scale};
  const unsigned end = min(__float_as_uint(task.farthest), kFarthestKey) + 1;
  Kept kept{.key = end, .ties = 0};
  unsigned candidates = 0;
  Mass whole = 0;
  total(shared, row, end, candidates, whole);
  if (task.top_k > 0 && static_cast<unsigned>(task.top_k) < candidates) {
    const Range at = threshold<false>(shared, row, static_cast<Mass>(task.top_k), end);
    kept = {.key = at.begin, .ties = static_cast<unsigned>(task.top_k) - at.count_before};
    whole = at.mass_before + kept.ties * weight(kept.key);
  }
  if (task.top_p < 1) {
    const Mass wanted =
        min(whole, max(Mass{1}, static_cast<Mass>(ceil(task.top_p * static_cast<double>(whole)))));
    const Range at = threshold<true>(shared, row, wanted, kept.ties > 0 ? kept.key + 1 : kept.key);
    const Mass each = weight(at.begin);  // not zero: it took the mass to what is wanted
    const auto ties = static_cast<unsigned>((wanted - at.mass_before + each - 1) / each);
    kept = {.key = at.begin, .ties = at.begin == kept.key ? min(ties, kept.ties) : ties};
    whole = at.mass_before + kept.ties * weight(kept.key);
  }
  const Mass target = min(whole - 1, static_cast<Mass>(task.uniform * static_cast<double>(whole)));
  const int id = find(shared, row, kept, target);
  if (threadIdx.x == 0)
    tokens[blockIdx.x] = {.id = id, .logprob = __ldcg(of_row + id) - row.largest + choice.logprob};
}

}  // namespace

DrawWorkspace::DrawWorkspace(std::int64_t tasks_max)
    : host_tasks_(tasks_max * static_cast<std::int64_t>(sizeof(DrawTask))),
      host_tokens_(tasks_max * static_cast<std::int64_t>(sizeof(DrawnToken))),
      tasks_(host_tasks_.bytes()),
      tokens_(host_tokens_.bytes()) {}

void draw_tokens(View<const float> logits, const GreedyChoice* choices,
                 const DrawWorkspace& workspace, std::int64_t first, std::int64_t count,
                 cudaStream_t stream) {
  if (count == 0) return;
  NVLLM_CHECK_LE((first + count) * static_cast<std::int64_t>(sizeof(DrawTask)),
                 workspace.tasks_.bytes());
  DrawTask* const tasks = workspace.tasks_.as<DrawTask>() + first;
  DrawnToken* const tokens = workspace.tokens_.as<DrawnToken>() + first;
  copy_to_device(tasks, workspace.tasks() + first,
                 count * static_cast<std::int64_t>(sizeof(DrawTask)), stream);
  launch_early(draw, static_cast<int>(count), kThreads, 0, stream, tokens, tasks, choices,
               logits.data, static_cast<long long>(logits.stride), static_cast<int>(logits.cols));
  copy_to_host(workspace.host_tokens_.as<DrawnToken>() + first, tokens,
               count * static_cast<std::int64_t>(sizeof(DrawnToken)), stream);
}

}  // namespace nvllm::cuda
