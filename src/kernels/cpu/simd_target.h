#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nvllm::cpu {

/// What the vector kernels run on, and what matrices are packed for.
struct SimdTarget {
  std::int64_t lanes = 4;  ///< floats per vector: 4, 8 or 16
  bool bf16_dot = false;   ///< BF16 and NVFP4 products go through the processor's own BF16 dot
};

/// The SIMD target in use.
SimdTarget simd_target();
/// Its name: "AVX2", "AVX3", "AVX3_BF16", "SSE4", "NEON", …
std::string simd_target_name();

/// Names of all targets that this build has and this processor can run, most capable first.
std::vector<std::string> simd_targets();
/// For tests: kernels use this target from now on. Matrices packed for another one must not be used.
void use_simd_target(const std::string& name);
/// Ends the restriction.
void use_best_simd_target();

}  // namespace nvllm::cpu
