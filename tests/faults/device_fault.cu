#include <cuda_runtime.h>

#include "faults/planted_faults.h"

namespace nvllm::test {

namespace {

__global__ void trap() { asm volatile("trap;"); }

}  // namespace

void queue_device_fault(void* stream) { trap<<<1, 1, 0, static_cast<cudaStream_t>(stream)>>>(); }

}  // namespace nvllm::test
