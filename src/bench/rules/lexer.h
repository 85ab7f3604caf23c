#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/rules/quantity.h"

namespace nvllm::bench {

/// An expression longer than this is refused before it is read.
inline constexpr std::size_t kExpressionBytesMax = 4096;

enum class TokenKind { kNumber, kWord, kCall, kSymbol, kEnd };

/// One token of an expression. A call is one token, since only its arguments may hold '-', '.', '*'
/// unquoted.
struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::int64_t position = 0;           ///< byte offset in the text
  std::string text;                    ///< the word, the function's name or the symbol
  Quantity number;                     ///< of a kNumber
  std::vector<std::string> arguments;  ///< of a kCall
};

/// Splits an expression; the last token is kEnd.
///   Errors: Error(kUsage) with the position, what was seen and what was wanted.
std::vector<Token> tokenize(std::string_view text);

/// Throws Error(kUsage) in the one form all errors of the rules language have.
[[noreturn]] void throw_rule_error(std::string_view text, std::int64_t position,
                                   std::string_view problem);

}  // namespace nvllm::bench
