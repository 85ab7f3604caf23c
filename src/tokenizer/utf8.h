#pragma once

// UTF-8 as this room needs it: checked decoding, and replacement of what is not UTF-8 by U+FFFD.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nvllm::tokenizer {

/// What starts at one place of a byte string.
struct Utf8Step {
  enum class Kind {
    kCharacter,   ///< a whole, valid character of `bytes` bytes
    kInvalid,     ///< `bytes` bytes that no continuation can make valid
    kIncomplete,  ///< the text ends inside what may still become a character
  };
  Kind kind = Kind::kInvalid;
  std::size_t bytes = 0;
  std::uint32_t code_point = 0;
};

/// Looks at what starts at `text[at]`; `at` < text.size(). Invalid bytes are grouped as Unicode's
/// "maximal subparts", so one U+FFFD per step gives what Rust's String::from_utf8_lossy gives.
Utf8Step utf8_step(std::string_view text, std::size_t at);

/// Whether the whole text is valid UTF-8.
bool is_utf8(std::string_view text);

/// Appends `text` to `out`, with U+FFFD for each invalid sequence and for an incomplete end.
void append_lossy(std::string_view text, std::string& out);

/// Appends one code point; it must be a Unicode scalar value.
void append_code_point(std::uint32_t code_point, std::string& out);

/// The number of characters of a valid UTF-8 text.
std::int64_t count_characters(std::string_view text);

/// Whether Unicode gives the code point the property White_Space.
bool is_white_space(std::uint32_t code_point);

}  // namespace nvllm::tokenizer
