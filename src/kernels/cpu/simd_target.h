#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nvllm::cpu {

/// Floats per vector of the SIMD target in use.
std::int64_t simd_lanes();
/// Its name: "AVX2", "AVX3", "SSE4", "NEON", …
std::string simd_target_name();

/// Names of all targets that this build has and this processor can run, most capable first.
std::vector<std::string> simd_targets();
/// For tests: kernels use this target from now on. Matrices packed for another one must not be used.
void use_simd_target(const std::string& name);
/// Ends the restriction.
void use_best_simd_target();

}  // namespace nvllm::cpu
