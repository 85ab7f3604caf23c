#pragma once

// The alphabet in which byte-level vocabularies are written: each byte has one printable character.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nvllm::tokenizer {

/// The bytes that a vocabulary entry spells, or nullopt if it holds a character outside the
/// alphabet.
std::optional<std::string> bytes_of_entry(std::string_view entry);

/// The vocabulary entry that spells these bytes.
std::string entry_of_bytes(std::string_view bytes);

}  // namespace nvllm::tokenizer
