#include "engine/request.h"

#include <algorithm>

namespace nvllm::engine {

std::optional<std::int64_t> tokens_that_fit(std::int64_t prompt, std::int64_t wanted, std::int64_t context) {
  const std::int64_t room = context - prompt;
  if (room < std::min<std::int64_t>(wanted, 1)) return std::nullopt;
  return std::min(wanted, room);
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
