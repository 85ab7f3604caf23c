// Decoding follows table 3-7 of the Unicode standard: the second byte's range depends on the first,
// which is what rules out overlong forms, surrogates and values above U+10FFFF.

#include "tokenizer/utf8.h"

#include <algorithm>

namespace nvllm::tokenizer {

namespace {

struct Lead {
  int length = 0;  ///< 0: no character starts with this byte
  std::uint8_t second_min = 0x80;
  std::uint8_t second_max = 0xbf;
};

Lead lead_of(std::uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xc2) return {0};
  if (byte < 0xe0) return {2};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte < 0xf0) return {3};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte < 0xf4) return {4};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0};
}

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

}  // namespace

Utf8Step utf8_step(std::string_view text, std::size_t at) {
  using Kind = Utf8Step::Kind;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const Lead lead = lead_of(byte(at));
  if (lead.length == 0) return {Kind::kInvalid, 1, 0};
  if (lead.length == 1) return {Kind::kCharacter, 1, byte(at)};
  std::uint32_t code_point = byte(at) & (0xff >> (lead.length + 1));
  for (int i = 1; i < lead.length; ++i) {
    const std::size_t here = at + static_cast<std::size_t>(i);
    if (here >= text.size()) return {Kind::kIncomplete, text.size() - at, 0};
    const std::uint8_t low = i == 1 ? lead.second_min : std::uint8_t{0x80};
    const std::uint8_t high = i == 1 ? lead.second_max : std::uint8_t{0xbf};
    if (byte(here) < low || byte(here) > high) {
      return {Kind::kInvalid, static_cast<std::size_t>(i), 0};
    }
    code_point = (code_point << 6) | (byte(here) & 0x3f);
  }
  return {Kind::kCharacter, static_cast<std::size_t>(lead.length), code_point};
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    if (step.kind != Utf8Step::Kind::kCharacter) return false;
    at += step.bytes;
  }
  return true;
}

void append_lossy(std::string_view text, std::string& out) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    out += step.kind == Utf8Step::Kind::kCharacter ? text.substr(at, step.bytes) : kReplacement;
    at += step.bytes;
  }
}

void append_code_point(std::uint32_t code_point, std::string& out) {
  const auto tail = [&](int shift) {
    return static_cast<char>(0x80 | ((code_point >> shift) & 0x3f));
  };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += {static_cast<char>(0xc0 | (code_point >> 6)), tail(0)};
  } else if (code_point < 0x10000) {
    out += {static_cast<char>(0xe0 | (code_point >> 12)), tail(6), tail(0)};
  } else {
    out += {static_cast<char>(0xf0 | (code_point >> 18)), tail(12), tail(6), tail(0)};
  }
}

std::int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<std::uint8_t>(c) & 0xc0) != 0x80; });
}

bool is_white_space(std::uint32_t code_point) {
  return (code_point >= 0x09 && code_point <= 0x0d) || code_point == 0x20 || code_point == 0x85 ||
         code_point == 0xa0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200a) || code_point == 0x2028 ||
         code_point == 0x2029 || code_point == 0x202f || code_point == 0x205f ||
         code_point == 0x3000;
}

}  // namespace nvllm::tokenizer
