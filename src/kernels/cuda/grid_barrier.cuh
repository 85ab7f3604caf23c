#pragma once

// Where all CTAs of a kernel meet. They must all be resident: a grid of at most as many as there is room for.

#include <cstdint>

#include "kernels/cuda/ptx/shared.cuh"

namespace nvllm::cuda {

/// Two words of device memory, zeroed once: how many have arrived, and how often all have.
struct GridBarrier {
  unsigned* words = nullptr;
};

/// What a CTA wrote before, every CTA may read after, past its first-level cache.
__device__ __forceinline__ void meet_grid(const GridBarrier& barrier) {
  __syncthreads();
  if (threadIdx.x == 0) {
    unsigned meeting;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(meeting) : "l"(barrier.words + 1) : "memory");
    if (ptx::add_acquire_release(barrier.words, 1) + 1 == gridDim.x) {
      // The next meeting's first arrival comes after it has seen this meeting end.
      asm volatile("st.relaxed.gpu.global.u32 [%0], 0;" ::"l"(barrier.words) : "memory");
      asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(barrier.words + 1), "r"(meeting + 1) : "memory");
    } else {
      while (ptx::load_acquire(barrier.words + 1) == meeting) {
      }
    }
  }
  __syncthreads();
}

}  // namespace nvllm::cuda
