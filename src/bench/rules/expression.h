#pragma once

// The rules language: comparisons, && || !, arithmetic on quantities, calls with names as
// arguments. No loops, no assignment, no input or output, so that a rule can be read as a sentence.
//
//   or      := and { "||" and }
//   and     := not { "&&" not }
//   not     := "!" not | sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
//   sum     := product { ("+" | "-") product }
//   product := negated { ("*" | "/") negated }
//   negated := "-" negated | number [unit] | word | word "(" arguments ")" | "(" or ")"
//
// "!" takes a whole comparison: !H1 == CONFIRMED is !(H1 == CONFIRMED).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/rules/lexer.h"

namespace nvllm::bench {

/// Parentheses, signs and operators nested deeper than this are refused.
inline constexpr int kExpressionDepthMax = 100;

enum class ExpressionKind { kNumber, kWord, kCall, kUnary, kBinary };

/// A node of the tree, with the token that made it.
struct Expression {
  ExpressionKind kind = ExpressionKind::kNumber;
  Token token;                       ///< the operator's, for kUnary and kBinary
  std::vector<Expression> children;  ///< 0, 1 or 2
  int depth = 1;
};

/// An expression with the text it came from, for messages and for the record.
struct Rule {
  std::string text;
  Expression root;
};

/// Parses one expression.
///   Errors: Error(kUsage) with the position, what was seen and what was wanted.
Rule parse_rule(std::string_view text);

/// Writes an expression with every pair of parentheses: the same tree always gives the same text.
std::string to_text(const Expression& expression);

/// A call as people write it: mean_us(all-beta,Beta*).
std::string call_text(const Token& call);

}  // namespace nvllm::bench
