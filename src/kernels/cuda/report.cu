// Every thread keeps the best token of its own share of the row that was not yet taken. The best of
// those is taken; the warp of the thread that had it finds that thread's next. Nothing depends on
// how logits are spread, or on how many are equal.

#include "kernels/cuda/report.h"

#include <cuda_runtime.h>

#include "base/check.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/matrix.cuh"

namespace nvllm::cuda {

namespace {

/// Orders tokens: a larger logit first, the lower id among equal ones; NaN last. Zero: no token.
using Key = unsigned long long;

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;
constexpr int kAtOnce = 8;  // loads a thread has on their way
static_assert(kWarps == 32, "one lane for each warp");

__device__ __forceinline__ Key key_of(float logit, int id) {
  const unsigned bits = __float_as_uint(__fadd_rn(logit, 0.0f));  // both zeros become one
  const unsigned ascending = bits ^ ((bits >> 31) != 0 ? 0xffffffffu : 0x80000000u);
  return (static_cast<Key>(logit == logit ? ascending : 0u) << 32) | ~static_cast<unsigned>(id);
}
__device__ __forceinline__ int id_of(Key key) {
  return static_cast<int>(~static_cast<unsigned>(key));
}

__device__ __forceinline__ Key warp_best(Key key) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) key = max(key, __shfl_xor_sync(0xffffffffu, key, lane));
  return key;
}

/// The best key below `below` of ids first + step * i.
__device__ __forceinline__ Key best_of(const float* row, int vocab, int first, int step,
                                       Key below) {
  Key best = 0;
#pragma unroll 1
  for (int begin = first; begin < vocab; begin += step * kAtOnce) {
    float logit[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i)
      logit[i] = begin + i * step < vocab ? __ldcg(row + begin + i * step) : 0.0f;
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const Key key = begin + i * step < vocab ? key_of(logit[i], begin + i * step) : 0;
      if (key < below) best = max(best, key);
    }
  }
  return best;
}

__global__ void __launch_bounds__(kThreads)
    report(TokenReport* reports, const ReportTask* tasks, const GreedyChoice* choices,
           const float* logits, long long stride, int vocab) {
  __shared__ Key of_warps[2][kWarps];
  __shared__ Key taken[kAlternativesMax];
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const ReportTask task = tasks[blockIdx.x];
  TokenReport& out = reports[blockIdx.x];
  const int chosen = __ldcg(task.id);
  const GreedyChoice likeliest = choices[task.row];
  const float* const row = logits + task.row * stride;
  const float largest = likeliest.id < 0 ? NAN : __ldcg(row + likeliest.id);
  const auto logprob = [&](int id) { return __ldcg(row + id) - largest + likeliest.logprob; };
  if (threadIdx.x == 0) {
    out.id = chosen;
    out.logprob = chosen < 0 ? 0.0f : logprob(chosen);
  }
  const int count = chosen < 0 ? 0 : min(task.top_count, vocab);
  if (count <= 0) return;

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  Key best = best_of(row, vocab, threadIdx.x, kThreads, ~Key{0});
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    // In turns, so that one barrier is enough: what is written here was read before the last one.
    const Key of_warp = warp_best(best);
    if (lane == 0) of_warps[i % 2][warp] = of_warp;
    __syncthreads();
    const Key next = warp_best(of_warps[i % 2][lane]);
    const int owner = id_of(next) % kThreads;
    if (warp == owner / 32) {
      const Key after =
          warp_best(best_of(row, vocab, owner + kThreads * lane, kThreads * 32, next));
      if (lane == owner % 32) best = after;
    }
    if (threadIdx.x == 0) taken[i] = next;
  }
  __syncthreads();
  if (static_cast<int>(threadIdx.x) < count) {
    const int id = id_of(taken[threadIdx.x]);
    out.top[threadIdx.x] = {.id = id, .logprob = logprob(id)};
  }
}

}  // namespace

ReportWorkspace::ReportWorkspace(std::int64_t tasks_max)
    : host_tasks_(tasks_max * static_cast<std::int64_t>(sizeof(ReportTask))),
      host_reports_(tasks_max * static_cast<std::int64_t>(sizeof(TokenReport))),
      tasks_(host_tasks_.bytes()),
      reports_(host_reports_.bytes()) {}

void report_tokens(View<const float> logits, const GreedyChoice* choices,
                   const ReportWorkspace& workspace, std::int64_t first, std::int64_t count,
                   cudaStream_t stream) {
  if (count == 0) return;
  NVLLM_CHECK_LE((first + count) * static_cast<std::int64_t>(sizeof(ReportTask)),
                 workspace.tasks_.bytes());
  ReportTask* const tasks = workspace.tasks_.as<ReportTask>() + first;
  TokenReport* const reports = workspace.reports_.as<TokenReport>() + first;
  copy_to_device(tasks, workspace.tasks() + first,
                 count * static_cast<std::int64_t>(sizeof(ReportTask)), stream);
  launch_early(report, static_cast<int>(count), kThreads, 0, stream, reports, tasks, choices,
               logits.data, static_cast<long long>(logits.stride), static_cast<int>(logits.cols));
  copy_to_host(workspace.host_reports_.as<TokenReport>() + first, reports,
               count * static_cast<std::int64_t>(sizeof(TokenReport)), stream);
}

}  // namespace nvllm::cuda
