#pragma once

// What this machine can do at the most: the two lines every CPU timing is compared with. They are
// measured in turns with the kernel under test, because clocks and neighbours drift.

#include <cstdint>
#include <span>

#include "kernels/cpu/packed_matrix.h"
#include "kernels/cpu/worker_pool.h"

namespace nvllm::cpu {

/// Reads every byte of `data` once, divided among the workers as a weight matrix is.
///   Returns: a value that depends on all of it, so that nothing can be left out.
std::uint64_t read_sweep(std::span<const std::byte> data, WorkerPool& pool);

/// What multiplies: float fused multiply-adds (BF16 and FP8 matrices), products of 16-bit integers
/// summed in 32 bits (NVFP4 matrices), or the processor's BF16 dot (BF16 and NVFP4 matrices, where
/// there is one).
enum class DotUnit { kFloat, kInt16, kBf16 };

/// What multiplies matrices of this format.
DotUnit dot_unit(PackedFormat format);

/// Multiplies and adds out of first-level cache with no unpacking at all: at least `multiply_adds`
/// of them, divided among the workers, by the instruction the matrix kernels use.
///   Returns: how many were done.
std::int64_t dot_roof(DotUnit unit, std::int64_t multiply_adds, WorkerPool& pool);

}  // namespace nvllm::cpu
