#include "bench/rules/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hashing.h"
#include "bench/rules/rule_test_support.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;

std::string tree(std::string_view text) { return to_text(parse_rule(text).root); }

TEST(Expression, BindsAsWritten) {
  EXPECT_EQ(tree("1 + 2 * 3 - 4"), "((1 + (2 * 3)) - 4)");
  EXPECT_EQ(tree("a - b > 0 && !c == CONFIRMED || d"),
            "((((a - b) > 0) && !((c == CONFIRMED))) || d)");
  EXPECT_EQ(tree("-a * b"), "(-(a) * b)");
  EXPECT_EQ(tree("(1 - 2) - (3 - 4)"), "((1 - 2) - (3 - 4))");
  EXPECT_EQ(tree("!!x"), "!(!(x))");
}

TEST(Expression, WritesWhatParsesToTheSameTree) {
  for (const char* text : {"mean_us(all-beta,'Beta*') - mean_us(all-beta,'a b') > 2.5 ms",
                           "1 pt / 3 tokens < x || gate(o)", "f(\"it's\") == 5 ms/token"}) {
    EXPECT_EQ(tree(tree(text)), tree(text));
  }
}

TEST(Expression, ErrorsNameColumnSeenAndWanted) {
  const auto error_of = [](std::string_view text) {
    return usage_error([&] { parse_rule(text); });
  };
  EXPECT_THAT(error_of(""), HasSubstr("column 1: saw the end, wanted a number"));
  EXPECT_THAT(error_of("a +"), HasSubstr("column 4: saw the end"));
  EXPECT_THAT(error_of("a b"), HasSubstr("column 3: saw 'b', wanted an operator or the end"));
  EXPECT_THAT(error_of("(a"), HasSubstr("wanted ')'"));
  EXPECT_THAT(error_of("a < b < c"), HasSubstr("column 7: saw '<', wanted '&&'"));
  EXPECT_THAT(error_of("1 2"), HasSubstr("saw a number"));
  EXPECT_THAT(error_of("a f(b)"), HasSubstr("saw 'f(...)'"));
}

std::string repeated(std::string_view before, int count, std::string_view middle,
                     std::string_view after) {
  std::string text;
  for (int i = 0; i < count; ++i) text += before;
  text += middle;
  for (int i = 0; i < count; ++i) text += after;
  return text;
}

TEST(Expression, RefusesDepthHoweverItIsMade) {
  for (const std::string& text :
       {repeated("(", 2000, "a", ")"), repeated("!", 4000, "a", ""), repeated("-", 4000, "a", ""),
        repeated("", 2000, "a", "+a"), repeated("", 1000, "a", "&&a")}) {
    EXPECT_THAT(usage_error([&] { parse_rule(text); }), HasSubstr("deeper than 100"));
  }
  EXPECT_EQ(parse_rule(repeated("(", 99, "a", ")")).root.token.text, "a");
  EXPECT_EQ(parse_rule(repeated("", 99, "a", "+a")).root.depth, 100);
}

/// Random bytes seldom get past the lexer, so half of the texts are made of the language's own
/// pieces.
std::string random_text(std::uint64_t seed) {
  constexpr const char* kPieces[] = {
      "(",    ")",     "&&",     "||",          "!",         "<",     ">=",
      "==",   "!=",    "+",      "-",           "*",         "/",     " ",
      ",",    "1",     "2.5 ms", "3%",          "0",         "1e308", "mean_us(a,b)",
      "f(",   "'",     "H1",     "gate(order)", "CONFIRMED", "true",  "unknown",
      "\xff", "tokens"};
  std::string text;
  const std::uint64_t length = random_bits(seed, 0) % 60;
  for (std::uint64_t i = 1; i <= length; ++i) {
    const std::uint64_t bits = random_bits(seed, i);
    if (seed % 2 == 0) {
      text += static_cast<char>(bits & 0xff);
    } else {
      text += kPieces[bits % std::size(kPieces)];
    }
  }
  return text;
}

TEST(Expression, AnyBytesParseOrAreRefusedWithAColumn) {
  int parsed = 0;
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 40'000; ++seed) {
    const std::string text = random_text(seed);
    try {
      const Rule rule = parse_rule(text);
      ASSERT_EQ(tree(to_text(rule.root)), to_text(rule.root)) << "seed " << seed << ": " << text;
      ++parsed;
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kUsage) << "seed " << seed;
      ASSERT_THAT(error.what(), HasSubstr("column ")) << "seed " << seed;
      ++refused;
    }
  }
  EXPECT_GT(parsed, 100);
  EXPECT_GT(refused, 10'000);
}

}  // namespace
}  // namespace nvllm::bench
