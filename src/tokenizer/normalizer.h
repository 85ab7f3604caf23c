#pragma once

// Unicode normalisation form C, linear in the text.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace nvllm::tokenizer {

/// A range of bytes of a text, [begin, end).
struct ByteRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Valid UTF-8 with the ranges in which added tokens may be found: sorted, disjoint, not empty.
struct OpenText {
  std::string text;
  std::vector<ByteRange> open;
};

/// NFC of a valid UTF-8 text.
std::string nfc(std::string_view text);

/// NFC that carries the open ranges along. Where a character was made from bytes of both kinds, the
/// result is closed.
OpenText nfc(const OpenText& text);

}  // namespace nvllm::tokenizer
