// Several CTAs copy a piece of a row each; then each of them makes those edits that fall into its
// piece.

#include "kernels/cuda/adjust.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/matrix.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kPieces = 32;  // of a row
constexpr int kThreads = 256;
constexpr int kAtOnce = 8;  // loads a thread has on their way
constexpr std::int64_t kEditsAtFirst = std::int64_t{1} << 16;

/// Rounds after every operation, as the host does: the compiler may join none of these.
__device__ __forceinline__ float adjusted(float logit, const LogitEdit& edit,
                                          const AdjustTask& task) {
  if ((edit.what & LogitEdit::kBiased) != 0) logit = __fadd_rn(logit, edit.bias);
  if ((edit.what & LogitEdit::kBanned) != 0) logit = -INFINITY;
  if ((edit.what & LogitEdit::kPenalised) == 0) return logit;
  logit = logit > 0 ? __fdiv_rn(logit, task.repetition) : __fmul_rn(logit, task.repetition);
  if (edit.count == 0) return logit;
  return __fsub_rn(logit,
                   __fadd_rn(__fmul_rn(task.frequency, __int2float_rn(edit.count)), task.presence));
}

__global__ void __launch_bounds__(kThreads)
    adjust(float* out, const AdjustTask* tasks, const LogitEdit* edits, const float* logits,
           long long stride, int vocab) {
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const AdjustTask task = tasks[blockIdx.y];
  const float* const from = logits + task.row * stride;
  float* const to = out + static_cast<long long>(blockIdx.y) * vocab;
  const int each = (vocab + kPieces - 1) / kPieces, begin = blockIdx.x * each,
            end = min(begin + each, vocab);
#pragma unroll 1
  for (int first = begin + threadIdx.x; first < end; first += kThreads * kAtOnce) {
    float logit[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i)
      logit[i] = first + i * kThreads < end ? __ldcg(from + first + i * kThreads) : 0.0f;
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (first + i * kThreads < end) to[first + i * kThreads] = logit[i];
    }
  }
  __syncthreads();  // edits come after the copies of other threads
#pragma unroll 1
  for (int i = threadIdx.x; i < task.edit_count; i += kThreads) {
    const LogitEdit edit = edits[task.first_edit + i];
    if (edit.id >= begin && edit.id < end) to[edit.id] = adjusted(__ldcg(from + edit.id), edit, task);
  }
}

}  // namespace

AdjustWorkspace::AdjustWorkspace(std::int64_t tasks_max, std::int64_t vocab)
    : host_tasks_(tasks_max * static_cast<std::int64_t>(sizeof(AdjustTask))),
      host_edits_(kEditsAtFirst * static_cast<std::int64_t>(sizeof(LogitEdit))),
      tasks_(kAdjustRows * static_cast<std::int64_t>(sizeof(AdjustTask))),
      edits_(vocab * static_cast<std::int64_t>(sizeof(LogitEdit))),
      rows_(kAdjustRows * vocab * static_cast<std::int64_t>(sizeof(float))) {}

void AdjustWorkspace::reserve_edits(std::int64_t count) {
  if (count <= edits_reserved()) return;
  host_edits_ = PinnedBuffer(std::max(count, 2 * edits_reserved()) *
                             static_cast<std::int64_t>(sizeof(LogitEdit)));
}

View<const float> adjust_logits(View<const float> logits, const AdjustWorkspace& workspace,
                                const AdjustGroup& group, cudaStream_t stream) {
  const std::int64_t row_bytes = logits.cols * static_cast<std::int64_t>(sizeof(float));
  NVLLM_CHECK(group.task_count > 0 && group.task_count <= kAdjustRows &&
              kAdjustRows * row_bytes <= workspace.rows_.bytes());
  NVLLM_CHECK_LE(group.edit_count, workspace.edits_at_once());
  NVLLM_CHECK_LE(group.first_edit + group.edit_count, workspace.edits_reserved());
  NVLLM_CHECK_LE(
      (group.first_task + group.task_count) * static_cast<std::int64_t>(sizeof(AdjustTask)),
      workspace.host_tasks_.bytes());
  copy_to_device(workspace.tasks_.as<void>(), workspace.tasks() + group.first_task,
                 group.task_count * static_cast<std::int64_t>(sizeof(AdjustTask)), stream);
  if (group.edit_count > 0) {
    copy_to_device(workspace.edits_.as<void>(), workspace.edits() + group.first_edit,
                   group.edit_count * static_cast<std::int64_t>(sizeof(LogitEdit)), stream);
  }
  launch_grid(Start::kEarly, adjust, dim3(kPieces, static_cast<unsigned>(group.task_count)),
              kThreads, 0, stream, workspace.rows_.as<float>(), workspace.tasks_.as<AdjustTask>(),
              workspace.edits_.as<LogitEdit>(), logits.data, static_cast<long long>(logits.stride),
              static_cast<int>(logits.cols));
  return {workspace.rows_.as<float>(), group.task_count, logits.cols};
}

}  // namespace nvllm::cuda
