#pragma once

// How kernels are launched: early, so that what needs nothing of the kernel before (barriers, the first weights)
// is done while that one ends. Every kernel calls ptx::wait_for_dependencies() before it touches anything else. As a precaution
// new kernels read what other kernels write past the first-level cache (__ldcg, cp.async.cg, the copy engine).

#include <cuda_runtime.h>

#include "base/check.h"
#include "kernels/cuda/check.cuh"

namespace nvllm::cuda {

enum class Start {
  kEarly,  ///< as soon as the kernel ahead in the stream allows it
  kAfter,  ///< when that one has ended
};

template <class... Parameters, class... Values>
void launch_grid(Start start, void (*kernel)(Parameters...), dim3 ctas, int threads, int shared_bytes, cudaStream_t stream,
                 const Values&... values) {
  cudaLaunchAttribute attributes[2] = {};
  // The same split for all kernels: a multiprocessor must be empty to change it, which would undo the early launch.
  attributes[0].id = cudaLaunchAttributePreferredSharedMemoryCarveout;
  attributes[0].val.sharedMemCarveout = cudaSharedmemCarveoutMaxShared;
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = ctas;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = start == Start::kEarly ? 2 : 1;
  check(cudaLaunchKernelEx(&config, kernel, Parameters(values)...), "launching a kernel");
}

template <class... Parameters, class... Values>
void launch_early(void (*kernel)(Parameters...), int ctas, int threads, int shared_bytes, cudaStream_t stream,
                  const Values&... values) {
  launch_grid(Start::kEarly, kernel, dim3(static_cast<unsigned>(ctas)), threads, shared_bytes, stream, values...);
}

/// For kernels that read through the first-level cache: most words of a spelled-out layer, which would gain nothing by an early start.
template <class... Parameters, class... Values>
void launch_after(void (*kernel)(Parameters...), int ctas, int threads, int shared_bytes, cudaStream_t stream,
                  const Values&... values) {
  launch_grid(Start::kAfter, kernel, dim3(static_cast<unsigned>(ctas)), threads, shared_bytes, stream, values...);
}

/// Lets a kernel use all the shared memory that its device has.
template <class Kernel>
bool allow_shared_memory(Kernel kernel) {
  int bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), "reading the device's shared memory");
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "raising shared memory");
  return true;
}

/// The same for a kernel that may need more shared memory than kernels have without asking.
template <auto kKernel, class... Values>
void launch_roomy(Start start, dim3 ctas, int threads, int shared_bytes, cudaStream_t stream, const Values&... values) {
  static const bool allowed = allow_shared_memory(kKernel);
  NVLLM_CHECK(allowed);
  launch_grid(start, kKernel, ctas, threads, shared_bytes, stream, values...);
}

}  // namespace nvllm::cuda
