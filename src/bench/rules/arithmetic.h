#pragma once

#include <functional>

#include "bench/rules/expression.h"
#include "bench/rules/quantity.h"

namespace nvllm::bench {

/// A number on its way through an expression.
struct Number {
  double base = 0;    ///< in base units
  QuantityUnit unit;          ///< to print it in
  bool zero = false;  ///< the literal 0, which goes with every unit
};

/// Where calls get their values: a quantity per call.
using CallValues = std::function<Quantity(const Token& call)>;

/// Evaluates the arithmetic of an expression. Division by zero gives what IEEE says; the caller
/// looks.
///   Errors: Error(kUsage) with the position where units do not fit, or where a truth stands in
///           place of a quantity.
Number evaluate_number(const Rule& rule, const Expression& expression, const CallValues& values);

/// left - right, for two sides of a comparison or a difference.
///   Errors: as evaluate_number; the position is that of `operation`.
Number subtract(const Rule& rule, const Token& operation, const Number& left, const Number& right);

/// Whether an operator compares: < <= > >= == !=.
bool is_comparison(const Expression& expression);

/// Whether an expression is a truth by its form: a comparison, && || !, true, false or unknown.
bool is_truth(const Expression& expression);

/// The power of a call in an expression: 0 absent, 1 linear, 2 anything else.
int degree_in(const Expression& expression, const std::string& call);

}  // namespace nvllm::bench
