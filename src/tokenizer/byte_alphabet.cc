// Source: the byte-to-character table of GPT-2. Bytes that print as themselves in Latin-1 keep
// their code point; the other 68 follow, in order, from U+0100.

#include "tokenizer/byte_alphabet.h"

#include <array>

#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {

namespace {

struct Alphabet {
  std::array<std::uint16_t, 256> character_of{};
  std::array<std::int16_t, 324> byte_of{};

  constexpr Alphabet() {
    for (auto& byte : byte_of) byte = -1;
    std::uint16_t next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const bool prints =
          (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
      const std::uint16_t character = prints ? static_cast<std::uint16_t>(byte) : next++;
      character_of[static_cast<std::size_t>(byte)] = character;
      byte_of[character] = static_cast<std::int16_t>(byte);
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

std::optional<std::string> bytes_of_entry(std::string_view entry) {
  std::string bytes;
  bytes.reserve(entry.size());
  for (std::size_t at = 0; at < entry.size();) {
    const Utf8Step step = utf8_step(entry, at);
    if (step.kind != Utf8Step::Kind::kCharacter) return std::nullopt;
    if (step.code_point >= kAlphabet.byte_of.size()) return std::nullopt;
    const std::int16_t byte = kAlphabet.byte_of[step.code_point];
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
    at += step.bytes;
  }
  return bytes;
}

std::string entry_of_bytes(std::string_view bytes) {
  std::string entry;
  entry.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    append_code_point(kAlphabet.character_of[static_cast<std::uint8_t>(byte)], entry);
  }
  return entry;
}

}  // namespace nvllm::tokenizer
