#pragma once

// Copies from global to shared memory that run on while the thread does.

#include <cstddef>
#include <cstdint>

namespace nvllm::cuda::ptx {

/// Sixteen bytes to a shared address, past first-level cache.
__device__ __forceinline__ void copy_16(std::uint32_t shared, const std::byte* global) {
  asm volatile("cp.async.cg.shared.global.L2::256B [%0], [%1], 16;" ::"r"(shared), "l"(global) : "memory");
}

/// Everything this thread has asked for since the last call becomes one group.
__device__ __forceinline__ void close_copy_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most kOpen of this thread's groups are under way.
template <int kOpen>
__device__ __forceinline__ void wait_for_copy_groups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
}

}  // namespace nvllm::cuda::ptx
