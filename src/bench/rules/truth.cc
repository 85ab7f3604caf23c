#include "bench/rules/truth.h"

#include <algorithm>

namespace nvllm::bench {

// The enumerators rise from false over unknown to true, so Kleene's tables are minimum and maximum.
Truth truth_and(Truth a, Truth b) { return std::min(a, b); }
Truth truth_or(Truth a, Truth b) { return std::max(a, b); }

Truth truth_not(Truth a) {
  if (a == Truth::kUnknown) return a;
  return truth_of(a == Truth::kFalse);
}

Truth truth_of(bool known) { return known ? Truth::kTrue : Truth::kFalse; }

Grade weakest(Grade a, Grade b) { return std::min(a, b); }

std::string_view to_string(Truth truth) {
  switch (truth) {
    case Truth::kFalse:
      return "false";
    case Truth::kUnknown:
      return "unknown";
    case Truth::kTrue:
      return "true";
  }
  return "?";
}

std::string_view to_string(Grade grade) {
  return grade == Grade::kConfirmed ? "CONFIRMED" : "PROVISIONAL";
}

}  // namespace nvllm::bench
