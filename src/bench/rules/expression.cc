// Recursive descent, one function per line of the grammar. Depth is counted on the way down
// (nesting) and on the way up (chains): both end in somebody's stack.

#include "bench/rules/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace nvllm::bench {

namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), tokens_(tokenize(text)) {}

  Expression whole() {
    Expression expression = either();
    if (peek().kind != TokenKind::kEnd) fail("an operator or the end");
    return expression;
  }

 private:
  const Token& peek() const { return tokens_[at_]; }
  Token take() { return tokens_[at_++]; }

  bool sees(std::initializer_list<std::string_view> symbols) const {
    return peek().kind == TokenKind::kSymbol &&
           std::find(symbols.begin(), symbols.end(), peek().text) != symbols.end();
  }

  [[noreturn]] void fail(std::string_view wanted) const {
    const Token& token = peek();
    std::string seen = "the end";
    if (token.kind == TokenKind::kNumber) seen = "a number";
    if (token.kind == TokenKind::kCall) seen = fmt::format("'{}(...)'", token.text);
    if (token.kind == TokenKind::kWord || token.kind == TokenKind::kSymbol)
      seen = fmt::format("'{}'", token.text);
    throw_rule_error(text_, token.position, fmt::format("saw {}, wanted {}", seen, wanted));
  }

  void check_depth(int depth, std::int64_t position) const {
    if (depth <= kExpressionDepthMax) return;
    throw_rule_error(text_, position,
                     fmt::format("nested or chained deeper than {}; split it into several rules",
                                 kExpressionDepthMax));
  }

  Expression leaf(ExpressionKind kind) {
    return {.kind = kind, .token = take(), .children = {}, .depth = 1};
  }

  Expression joined(ExpressionKind kind, Token operation, std::vector<Expression> children) const {
    int depth = 0;
    for (const Expression& child : children) depth = std::max(depth, child.depth);
    check_depth(depth + 1, operation.position);
    return {.kind = kind,
            .token = std::move(operation),
            .children = std::move(children),
            .depth = depth + 1};
  }

  Expression binary(Expression left, Token operation, Expression right) const {
    std::vector<Expression> children;
    children.push_back(std::move(left));
    children.push_back(std::move(right));
    return joined(ExpressionKind::kBinary, std::move(operation), std::move(children));
  }

  Expression unary(Token operation, Expression operand) const {
    std::vector<Expression> children;
    children.push_back(std::move(operand));
    return joined(ExpressionKind::kUnary, std::move(operation), std::move(children));
  }

  /// Runs a parse function one level further down.
  Expression nested(Expression (Parser::*parse)()) {
    check_depth(++nesting_, peek().position);
    Expression expression = (this->*parse)();
    --nesting_;
    return expression;
  }

  /// operand { symbol operand }, joined from the left.
  Expression chain(Expression (Parser::*operand)(),
                   std::initializer_list<std::string_view> symbols) {
    Expression left = (this->*operand)();
    while (sees(symbols)) {
      Token operation = take();
      left = binary(std::move(left), std::move(operation), (this->*operand)());
    }
    return left;
  }

  Expression either() { return chain(&Parser::both, {"||"}); }
  Expression both() { return chain(&Parser::negation, {"&&"}); }

  Expression negation() {
    if (!sees({"!"})) return comparison();
    Token operation = take();
    return unary(std::move(operation), nested(&Parser::negation));
  }

  Expression comparison() {
    const auto sees_comparison = [&] { return sees({"<", "<=", ">", ">=", "==", "!="}); };
    Expression left = sum();
    if (!sees_comparison()) return left;
    Token operation = take();
    Expression expression = binary(std::move(left), std::move(operation), sum());
    if (sees_comparison()) fail("'&&' between two comparisons: a < b && b < c");
    return expression;
  }

  Expression sum() { return chain(&Parser::product, {"+", "-"}); }
  Expression product() { return chain(&Parser::negated, {"*", "/"}); }

  Expression negated() {
    if (sees({"-"})) {
      Token operation = take();
      return unary(std::move(operation), nested(&Parser::negated));
    }
    switch (peek().kind) {
      case TokenKind::kNumber:
        return leaf(ExpressionKind::kNumber);
      case TokenKind::kWord:
        return leaf(ExpressionKind::kWord);
      case TokenKind::kCall:
        return leaf(ExpressionKind::kCall);
      default:
        break;
    }
    if (!sees({"("})) fail("a number, a name, a call or '('");
    ++at_;
    Expression expression = nested(&Parser::either);
    if (!sees({")"})) fail("')'");
    ++at_;
    return expression;
  }

  std::string_view text_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
};

bool plain_argument(std::string_view argument) {
  return !argument.empty() && argument.find_first_not_of(
                                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-.*?") == std::string_view::npos;
}

}  // namespace

Rule parse_rule(std::string_view text) {
  return {.text = std::string(text), .root = Parser(text).whole()};
}

std::string to_text(const Expression& expression) {
  switch (expression.kind) {
    case ExpressionKind::kNumber: {
      const Quantity& number = expression.token.number;
      return fmt::format("{}{}{}", number.value, number.unit.symbol.empty() ? "" : " ",
                         number.unit.symbol);
    }
    case ExpressionKind::kWord:
      return expression.token.text;
    case ExpressionKind::kCall:
      return call_text(expression.token);
    case ExpressionKind::kUnary:
      return fmt::format("{}({})", expression.token.text, to_text(expression.children[0]));
    case ExpressionKind::kBinary:
      return fmt::format("({} {} {})", to_text(expression.children[0]), expression.token.text,
                         to_text(expression.children[1]));
  }
  return {};
}

std::string call_text(const Token& call) {
  std::string text = call.text + "(";
  for (std::size_t i = 0; i < call.arguments.size(); ++i) {
    const std::string& argument = call.arguments[i];
    if (i > 0) text += ',';
    if (plain_argument(argument)) {
      text += argument;
    } else {
      const char quote = argument.find('\'') == std::string::npos ? '\'' : '"';
      text += quote + argument + quote;
    }
  }
  return text + ")";
}

}  // namespace nvllm::bench
