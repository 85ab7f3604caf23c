#pragma once

#include <cuda_runtime.h>

#include <string>

#include "base/check.h"
#include "base/error.h"

namespace nvllm::cuda {

/// Turns a failed call of the CUDA runtime into Error(kDevice).
inline void check(cudaError_t status, const char* doing) {
  if (status == cudaSuccess) return;
  throw Error(ErrorKind::kDevice, std::string(doing) + ": " + cudaGetErrorString(status));
}

}  // namespace nvllm::cuda
