#pragma once

#include <string>
#include <string_view>

namespace nvllm::bench {

/// What a kernel is for, as far as its name tells.
enum class KernelClass { kGemm, kGemv, kAttention, kNorm, kRope, kQuant, kCache, kSample, kMemory, kOther };

/// "gemm", "gemv", "attn", "norm", "rope", "quant", "cache", "sample", "mem", "other".
std::string_view to_string(KernelClass kind);

/// The name people read: the three fused phrases and "nvfp4_gemm" by themselves, any other name
/// without return type, parameters and template arguments, at most 60 characters. Where something
/// that tells kernels apart was cut, '#' and six digits of its hash follow, so that different names
/// stay different. Depends on the name alone: the same kernel has the same short name everywhere.
std::string short_kernel_name(std::string_view name);

/// The full name without what changes from run to run (addresses) and without the return type.
std::string normalised_kernel_name(std::string_view name);

/// A guess from words in the name; for grouping and colours, never for a verdict.
KernelClass classify_kernel(std::string_view name);

}  // namespace nvllm::bench
