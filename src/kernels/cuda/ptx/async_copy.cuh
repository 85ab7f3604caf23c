#pragma once

// Copies from global to shared memory that pass by the registers, in groups that are waited for in order.

#include <cstdint>

namespace nvllm::cuda::ptx {

/// Copies 16 bytes, both sides aligned to as much, past the first-level cache; zeros if they are not `there`.
__device__ __forceinline__ void copy_16(std::uint32_t to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}

/// The copies since the last of these are one group.
__device__ __forceinline__ void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until at most so many groups of this thread are on their way.
template <int kOpen>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
}

}  // namespace nvllm::cuda::ptx
