#pragma once

#include <algorithm>
#include <string_view>

namespace nvllm::server {

/// What JSON and templates put between words.
inline constexpr std::string_view kWhiteSpace = " \t\r\n";

inline bool is_white_space(char c) { return kWhiteSpace.find(c) != std::string_view::npos; }

/// How many bytes at the end of `text` may still become `tag`; 0 if none.
inline std::size_t held_bytes(std::string_view text, std::string_view tag) {
  if (tag.empty()) return 0;
  for (std::size_t size = std::min(tag.size() - 1, text.size()); size > 0; --size) {
    if (tag.starts_with(text.substr(text.size() - size))) return size;
  }
  return 0;
}

}  // namespace nvllm::server
