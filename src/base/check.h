#pragma once

// NVLLM_CHECK ends the process on a broken invariant inside the house: a bug, never bad input.
// Both values and the place are printed, because a core file is rarely at hand.

#include <source_location>
#include <sstream>
#include <string>

namespace nvllm::detail {

[[noreturn]] void check_failed(const char* condition, const std::string& values,
                               std::source_location where);

template <class A, class B>
std::string both(const A& a, const B& b) {
  std::ostringstream text;
  text << a << " against " << b;
  return text.str();
}

}  // namespace nvllm::detail

#define NVLLM_CHECK(condition)                                                   \
  do {                                                                           \
    if (!(condition)) [[unlikely]]                                               \
      ::nvllm::detail::check_failed(#condition, "", std::source_location::current()); \
  } while (false)

#define NVLLM_CHECK_OP_(a, op, b)                                                         \
  do {                                                                                    \
    const auto& nvllm_a_ = (a);                                                           \
    const auto& nvllm_b_ = (b);                                                           \
    if (!(nvllm_a_ op nvllm_b_)) [[unlikely]]                                             \
      ::nvllm::detail::check_failed(#a " " #op " " #b, ::nvllm::detail::both(nvllm_a_, nvllm_b_), \
                                    std::source_location::current());                     \
  } while (false)

#define NVLLM_CHECK_EQ(a, b) NVLLM_CHECK_OP_(a, ==, b)
#define NVLLM_CHECK_LE(a, b) NVLLM_CHECK_OP_(a, <=, b)
#define NVLLM_CHECK_LT(a, b) NVLLM_CHECK_OP_(a, <, b)
#define NVLLM_CHECK_GE(a, b) NVLLM_CHECK_OP_(a, >=, b)

/// For per-element loops only: compiled out where NDEBUG is set.
#ifdef NDEBUG
#define NVLLM_DCHECK(condition) static_cast<void>(0)
#else
#define NVLLM_DCHECK(condition) NVLLM_CHECK(condition)
#endif
