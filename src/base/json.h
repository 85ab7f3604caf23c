#pragma once

// The one door through which JSON comes in. nlohmann-json does the work; the limits are ours,
// because a parser without them lets a stranger choose our stack depth and memory.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace nvllm {

/// A JSON value that keeps the key order of its source.
using Json = nlohmann::ordered_json;

/// Limits of one parse. Depth counts open arrays and objects; nodes count every value.
struct JsonLimits {
  int depth_max = 64;
  std::int64_t nodes_max = 100'000;
};

/// Parses one complete JSON document.
///   Errors: Error(kBadFile) naming `what`, with the position, for malformed text, text after the
///           value, duplicate keys, invalid UTF-8, or a limit passed.
Json parse_json(std::string_view text, std::string_view what, JsonLimits limits = {});

/// Serialises on one line. Never throws: bytes that are not UTF-8 become U+FFFD.
std::string dump_json(const Json& value);

}  // namespace nvllm
