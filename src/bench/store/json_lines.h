#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace nvllm::bench {

/// Parses every line that is not empty and hands it over with its place, "file.jsonl:12".
///   Errors: those of parse_json, naming that place.
void for_each_json_line(std::string_view text, std::string_view what,
                        const std::function<void(const Json& line, const std::string& place)>& take);

}  // namespace nvllm::bench
