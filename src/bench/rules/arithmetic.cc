#include "bench/rules/arithmetic.h"

#include <fmt/format.h>

#include <algorithm>

namespace nvllm::bench {

namespace {

[[noreturn]] void fail(const Rule& rule, const Token& token, const std::string& problem) {
  throw_rule_error(rule.text, token.position, problem);
}

/// The literal zero takes the other side's unit.
QuantityUnit common_unit(const Rule& rule, const Token& operation, const Number& left,
                 const Number& right) {
  if (left.zero) return right.unit;
  if (right.zero || left.unit.dimension == right.unit.dimension) return left.unit;
  fail(rule, operation,
       fmt::format("'{}' between {} and {}, wanted the same kind of quantity on both sides",
                   operation.text, describe(left.unit), describe(right.unit)));
}

/// Per cent of something is a share of it; per cent beside a plain number stays per cent.
Number as_factor(Number number) {
  if (number.unit.dimension == Dimension{.percent = 1})
    return {.base = number.base / 100, .unit = unit("")};
  return number;
}

bool is_plain(const Number& number) { return number.unit.dimension == Dimension{}; }

Number multiply(const Number& left, const Number& right) {
  if (is_plain(left)) return {.base = left.base * right.base, .unit = right.unit};
  if (is_plain(right)) return {.base = left.base * right.base, .unit = left.unit};
  const Number factor = as_factor(right);
  if (is_plain(factor)) return {.base = left.base * factor.base, .unit = left.unit};
  const Number other = as_factor(left);
  if (is_plain(other)) return {.base = other.base * right.base, .unit = right.unit};
  const Dimension& a = left.unit.dimension;
  const Dimension& b = right.unit.dimension;
  return {.base = left.base * right.base,
          .unit = unit_of({.time = a.time + b.time,
                           .tokens = a.tokens + b.tokens,
                           .points = a.points + b.points,
                           .percent = a.percent + b.percent},
                          left.unit.scale * right.unit.scale)};
}

Number divide(const Number& left, const Number& right) {
  if (left.unit.dimension == right.unit.dimension)
    return {.base = left.base / right.base, .unit = unit("")};
  const Number factor = as_factor(right);
  if (is_plain(factor)) return {.base = left.base / factor.base, .unit = left.unit};
  const Number dividend = as_factor(left);
  const Dimension& a = dividend.unit.dimension;
  const Dimension& b = right.unit.dimension;
  return {.base = dividend.base / right.base,
          .unit = unit_of({.time = a.time - b.time,
                           .tokens = a.tokens - b.tokens,
                           .points = a.points - b.points,
                           .percent = a.percent - b.percent},
                          dividend.unit.scale / right.unit.scale)};
}

Number binary(const Rule& rule, const Expression& expression, const CallValues& values) {
  const Token& operation = expression.token;
  const Number left = evaluate_number(rule, expression.children[0], values);
  const Number right = evaluate_number(rule, expression.children[1], values);
  if (operation.text == "+") {
    return {.base = left.base + right.base, .unit = common_unit(rule, operation, left, right)};
  }
  if (operation.text == "-") return subtract(rule, operation, left, right);
  return operation.text == "*" ? multiply(left, right) : divide(left, right);
}

}  // namespace

Number evaluate_number(const Rule& rule, const Expression& expression, const CallValues& values) {
  if (is_truth(expression)) {
    fail(rule, expression.token,
         fmt::format("'{}' gives a truth, wanted a quantity", expression.token.text));
  }
  switch (expression.kind) {
    case ExpressionKind::kNumber: {
      const Quantity& number = expression.token.number;
      const bool zero = number.value == 0 && number.unit.symbol.empty();
      return {.base = number.base(), .unit = number.unit, .zero = zero};
    }
    case ExpressionKind::kWord:
      fail(rule, expression.token,
           fmt::format("saw the name '{}', wanted a number or a call such as mean_us(leg,'kernel')",
                       expression.token.text));
    case ExpressionKind::kCall: {
      const Quantity value = values(expression.token);
      return {.base = value.base(), .unit = value.unit};
    }
    case ExpressionKind::kUnary: {
      Number number = evaluate_number(rule, expression.children[0], values);
      number.base = -number.base;
      return number;
    }
    case ExpressionKind::kBinary:
      return binary(rule, expression, values);
  }
  return {};
}

Number subtract(const Rule& rule, const Token& operation, const Number& left, const Number& right) {
  return {.base = left.base - right.base, .unit = common_unit(rule, operation, left, right)};
}

bool is_comparison(const Expression& expression) {
  if (expression.kind != ExpressionKind::kBinary) return false;
  const std::string& symbol = expression.token.text;
  return symbol[0] == '<' || symbol[0] == '>' || symbol == "==" || symbol == "!=";
}

bool is_truth(const Expression& expression) {
  const std::string& text = expression.token.text;
  switch (expression.kind) {
    case ExpressionKind::kWord:
      return text == "true" || text == "false" || text == "unknown";
    case ExpressionKind::kUnary:
      return text == "!";
    case ExpressionKind::kBinary:
      return is_comparison(expression) || text == "&&" || text == "||";
    default:
      return false;
  }
}

int degree_in(const Expression& expression, const std::string& call) {
  if (expression.kind == ExpressionKind::kCall) return call_text(expression.token) == call ? 1 : 0;
  if (expression.children.empty()) return 0;
  const int left = degree_in(expression.children[0], call);
  if (expression.kind == ExpressionKind::kUnary) return left;
  const int right = degree_in(expression.children[1], call);
  if (expression.token.text == "*") return std::min(2, left + right);
  if (expression.token.text == "/") return right > 0 ? 2 : left;
  return std::max(left, right);
}

}  // namespace nvllm::bench
