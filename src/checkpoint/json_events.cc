#include "checkpoint/json_events.h"

#include <fmt/format.h>

#include "base/error.h"

namespace nvllm::checkpoint {

bool JsonEvents::parse_error(std::size_t position, const std::string&,
                             const nlohmann::json::exception& error) {
  refuse(fmt::format("not valid JSON at byte {}: {}", position, error.what()));
}

void JsonEvents::refuse(const std::string& why) const {
  throw Error(ErrorKind::kBadFile, fmt::format("{}: {}", what_, why));
}

void parse_json_events(std::string_view text, JsonEvents& events) {
  // The lexer takes a zero byte for the end of the text and would let anything follow it.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    events.refuse(fmt::format("not valid JSON at byte {}: a zero byte", zero));
  }
  nlohmann::json::sax_parse(text.begin(), text.end(), &events);
}

}  // namespace nvllm::checkpoint
