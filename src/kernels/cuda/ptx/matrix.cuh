#pragma once

// Instructions that CUDA C++ has no word for.

#include <cstdint>

namespace nvllm::cuda::ptx {

/// d += a · b for 16 x 16 BF16 by 16 x 8 BF16, sums in float.
///   Source: PTX ISA, mma.sync.aligned.m16n8k16.
__device__ __forceinline__ void multiply_16x8x16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Rows for columns of an 8 x 8 of 16-bit elements, of which thread l of a warp holds two neighbours: row l / 4, columns
/// 2 (l % 4) and one more.
///   Source: PTX ISA, movmatrix.sync.aligned.m8n8.trans.
__device__ __forceinline__ std::uint32_t transpose_8x8(std::uint32_t pair) {
  std::uint32_t out;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(pair));
  return out;
}

/// Waits for the grid before this one in the stream; without programmatic launch, does nothing.
__device__ __forceinline__ void wait_for_dependencies() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

/// Lets the grid after this one start: it may do what needs none of this one's results.
__device__ __forceinline__ void allow_dependents() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }

}  // namespace nvllm::cuda::ptx
