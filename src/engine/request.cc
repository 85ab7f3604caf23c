#include "engine/request.h"

#include <algorithm>

namespace nvllm::engine {

std::optional<std::int64_t> tokens_that_fit(std::int64_t prompt, std::int64_t wanted, std::int64_t context) {
  const std::int64_t room = context - prompt;
  if (room < std::min<std::int64_t>(wanted, 1)) return std::nullopt;
  return std::min(wanted, room);
}

std::int32_t forced_token(const ThinkingBudget& budget, std::span<const std::int32_t> output) {
  std::span<const std::int32_t> thoughts = output;
  if (budget.begin_id >= 0) {
    const auto first = output.first(std::min<std::size_t>(output.size(), kThinkingOpensWithin));
    const auto begin = std::find(first.begin(), first.end(), budget.begin_id);
    if (begin == first.end()) return -1;
    thoughts = output.subspan(static_cast<std::size_t>(begin - first.begin()) + 1);
  }
  if (static_cast<std::int64_t>(thoughts.size()) != budget.tokens_max) return -1;
  const bool ended = std::find(thoughts.begin(), thoughts.end(), budget.end_id) != thoughts.end();
  return ended ? -1 : budget.end_id;
}

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone: return "";
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "abort";
    case FinishReason::kError: return "error";
  }
  return "";
}

}  // namespace nvllm::engine
