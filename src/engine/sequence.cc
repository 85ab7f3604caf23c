#include "engine/sequence.h"

#include <algorithm>

namespace nvllm::engine {

std::vector<std::int32_t> Sequence::tokens(std::int64_t count) const {
  const std::int64_t of_prompt = std::min(count, static_cast<std::int64_t>(request.prompt.size()));
  std::vector<std::int32_t> out(request.prompt.begin(), request.prompt.begin() + of_prompt);
  out.insert(out.end(), output.begin(), output.begin() + (count - of_prompt));
  return out;
}

}  // namespace nvllm::engine
