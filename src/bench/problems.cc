#include "bench/problems.h"

namespace nvllm::bench {

std::optional<std::string> final_answer(std::string_view text) {
  const std::size_t mark = text.rfind("####");
  if (mark == std::string_view::npos) return std::nullopt;
  std::string number;
  for (const char c : text.substr(mark + 4)) {
    if (c == '\n' && !number.empty()) break;
    if ((c >= '0' && c <= '9') || c == '.' || (c == '-' && number.empty())) number.push_back(c);
    else if (c != ' ' && c != ',' && c != '$' && c != '\n') break;
  }
  while (!number.empty() && number.back() == '.') number.pop_back();
  if (number.empty()) return std::nullopt;
  return number;
}

}  // namespace nvllm::bench
