#include "bench/store/json_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace nvllm::bench {

void for_each_json_line(std::string_view text, std::string_view what,
                        const std::function<void(const Json& line, const std::string& place)>& take) {
  std::int64_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = fmt::format("{}:{}", what, number);
    take(parse_json(line, place), place);
  }
}

}  // namespace nvllm::bench
