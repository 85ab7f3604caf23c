#pragma once

// The step after a decode step, made on the device where every token goes on as its greedy choice.

#include <cstdint>

#include "kernels/cuda/greedy.h"
#include "kernels/cuda/step_table.h"

#ifdef __CUDACC__
#define NVLLM_ON_BOTH __host__ __device__
#else
#define NVLLM_ON_BOTH
#endif

namespace nvllm::cuda {

/// A lane of one token and its row of activations, one token later. A lane without tokens stays as
/// it is.
NVLLM_ON_BOTH inline void advance(Lane& lane, StepRow& row, const GreedyChoice& choice) {
  if (lane.token_count != 1) return;
  row.id = choice.id;
  ++row.position;
  ++lane.start;
}

/// advance() for lanes, rows and choices in device memory, [count].
void advance_step(Lane* lanes, StepRow* rows, const GreedyChoice* choices, std::int64_t count,
                  CUstream_st* stream);

}  // namespace nvllm::cuda

#undef NVLLM_ON_BOTH
