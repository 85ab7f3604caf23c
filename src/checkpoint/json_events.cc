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
  nlohmann::json::sax_parse(text.begin(), text.end(), &events);
}

}  // namespace nvllm::checkpoint
