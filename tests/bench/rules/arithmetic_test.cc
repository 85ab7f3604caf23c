#include "bench/rules/arithmetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/rules/rule_test_support.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;

Quantity value_of(std::string_view text) {
  const Rule rule = parse_rule(text);
  const Number number = evaluate_number(rule, rule.root, [](const Token& call) {
    return Quantity{.value = 10, .unit = unit(call.text == "tokens_of" ? "tokens" : "ms")};
  });
  return in_unit(number.base, number.unit);
}

void expect_quantity(std::string_view text, double value, const char* symbol) {
  const Quantity quantity = value_of(text);
  EXPECT_NEAR(quantity.value, value, 1e-12 * std::abs(value)) << text;
  EXPECT_EQ(quantity.unit.symbol, symbol) << text;
}

TEST(Arithmetic, ConvertsInsideOneKindAndKeepsTheLeftUnit) {
  expect_quantity("1 ms + 500 us", 1.5, "ms");
  expect_quantity("1 s - 1 ms", 0.999, "s");
  expect_quantity("-time() * 2", -20, "ms");
  expect_quantity("2 * 3 - 10 / 4", 3.5, "");
}

TEST(Arithmetic, MakesAndBreaksUnits) {
  expect_quantity("time() / tokens_of()", 1, "ms/token");
  expect_quantity("2 ms/token * 3 tokens", 6, "ms");
  expect_quantity("time() / 5 ms", 2, "");
  expect_quantity("time() / 1000 us", 10, "");
  expect_quantity("30 tokens / 2 s", 15, "tokens/s");
  expect_quantity("2 ms * 3 ms", 6e6, "us^2");
}

TEST(Arithmetic, PerCentOfSomethingIsAShareOfIt) {
  expect_quantity("50% * time()", 5, "ms");
  expect_quantity("time() * 50%", 5, "ms");
  expect_quantity("50% * 50%", 25, "%");
  expect_quantity("3 * 2%", 6, "%");
  expect_quantity("time() / 50%", 20, "ms");
  expect_quantity("4% / 2%", 2, "");
}

TEST(Arithmetic, LiteralZeroGoesWithEveryUnit) {
  expect_quantity("time() + 0", 10, "ms");
  expect_quantity("0 - time()", -10, "ms");
}

TEST(Arithmetic, UnlikeKindsAreAnErrorThatNamesThePosition) {
  const auto error_of = [](std::string_view text) { return usage_error([&] { value_of(text); }); };
  EXPECT_THAT(error_of("5 ms + 3 tokens"), HasSubstr("column 6: '+' between ms and tokens"));
  EXPECT_THAT(error_of("2% + 0.02"), HasSubstr("between % and a plain number"));
  EXPECT_THAT(error_of("1 pt - 1%"), HasSubstr("between pt and %"));
  EXPECT_THAT(error_of("1 + (2 < 3)"), HasSubstr("'<' gives a truth, wanted a quantity"));
  EXPECT_THAT(error_of("1 + true"), HasSubstr("'true' gives a truth"));
  EXPECT_THAT(error_of("1 + H1"), HasSubstr("saw the name 'H1'"));
}

TEST(DegreeIn, TellsLinearFromTheRest) {
  const auto degree = [](std::string_view text) {
    return degree_in(parse_rule(text).root, "f(a)");
  };
  EXPECT_EQ(degree("2 * f(a) - f(b) > 0"), 1);
  EXPECT_EQ(degree("f(a) * f(b)"), 1);
  EXPECT_EQ(degree("f(a) / f(b)"), 1);
  EXPECT_EQ(degree("f(b) / f(a)"), 2);
  EXPECT_EQ(degree("f(a) * f(a)"), 2);
  EXPECT_EQ(degree("f(b) + 1"), 0);
}

}  // namespace
}  // namespace nvllm::bench
