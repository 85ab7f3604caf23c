#pragma once

// Kleene's three-valued logic: unknown is not false. A verdict that rests on something unmeasured
// must say so instead of falling through to the other branch.

#include <cstdint>
#include <string_view>

namespace nvllm::bench {

enum class Truth { kFalse, kUnknown, kTrue };

/// How far a truth may be trusted. Ordered: the weaker is the smaller.
enum class Grade {
  kProvisional,  ///< one round, borrowed noise, or no noise at all
  kConfirmed,
};

/// The false wins over the unknown, the unknown over the true.
Truth truth_and(Truth a, Truth b);

/// The true wins over the unknown, the unknown over the false.
Truth truth_or(Truth a, Truth b);

/// Not knowing a thing is not knowing its opposite.
Truth truth_not(Truth a);

/// The truth of something known.
Truth truth_of(bool known);

/// The weaker of two grades.
Grade weakest(Grade a, Grade b);

/// "true", "false", "unknown"; "CONFIRMED", "PROVISIONAL".
std::string_view to_string(Truth truth);
std::string_view to_string(Grade grade);

}  // namespace nvllm::bench
