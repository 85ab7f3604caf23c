#pragma once

namespace nvllm {

/// What compiled this program: "g++ 12.2.0".
#if defined(__clang__)
inline constexpr const char* kCompiler = "clang " __clang_version__;
#else
inline constexpr const char* kCompiler = "g++ " __VERSION__;
#endif

}  // namespace nvllm
