#include "kernels/cuda/advance.h"

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx/matrix.cuh"

namespace nvllm::cuda {

namespace {

constexpr int kThreads = 128;

__global__ void advance_kernel(Lane* lanes, StepRow* rows, const GreedyChoice* choices, int count) {
  ptx::wait_for_dependencies();
  ptx::allow_dependents();
  const int i = blockIdx.x * kThreads + threadIdx.x;
  if (i < count) advance(lanes[i], rows[i], choices[i]);
}

}  // namespace

void advance_step(Lane* lanes, StepRow* rows, const GreedyChoice* choices, std::int64_t count,
                  cudaStream_t stream) {
  if (count == 0) return;
  launch_early(advance_kernel, static_cast<int>((count + kThreads - 1) / kThreads), kThreads, 0,
               stream, lanes, rows, choices, static_cast<int>(count));
}

}  // namespace nvllm::cuda
