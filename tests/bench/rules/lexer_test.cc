#include "bench/rules/lexer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/rules/rule_test_support.h"

namespace nvllm::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Lexer, TakesDashesDotsAndStarsInsideACallOnly) {
  const std::vector<Token> tokens = tokenize("mean_us(all-beta, 'Beta*') - x");
  ASSERT_EQ(tokens.size(), 4u);
  EXPECT_EQ(tokens[0].kind, TokenKind::kCall);
  EXPECT_EQ(tokens[0].text, "mean_us");
  EXPECT_THAT(tokens[0].arguments, ElementsAre("all-beta", "Beta*"));
  EXPECT_EQ(tokens[1].text, "-");
  EXPECT_EQ(tokens[2].kind, TokenKind::kWord);
  EXPECT_EQ(tokens[3].kind, TokenKind::kEnd);
}

TEST(Lexer, QuotesHoldEverythingButThemselves) {
  EXPECT_THAT(tokenize("f(\"a, b)'\", c.*, d-1?)")[0].arguments,
              ElementsAre("a, b)'", "c.*", "d-1?"));
  EXPECT_THAT(tokenize("f ( )")[0].arguments, IsEmpty());
}

TEST(Lexer, ReadsNumbersWithUnits) {
  const std::vector<Token> tokens = tokenize("1.5e1 ms 2% 3pt 4tokens 5 ms/token 6 tokens/s 7");
  ASSERT_EQ(tokens.size(), 8u);
  EXPECT_DOUBLE_EQ(tokens[0].number.base(), 15000);
  EXPECT_EQ(tokens[1].number.unit, unit("%"));
  EXPECT_EQ(tokens[2].number.unit, unit("pt"));
  EXPECT_EQ(tokens[3].number.unit, unit("tokens"));
  EXPECT_EQ(tokens[4].number.unit, unit("ms/token"));
  EXPECT_EQ(tokens[5].number.unit, unit("tokens/s"));
  EXPECT_EQ(tokens[6].number.unit, unit(""));
}

TEST(Lexer, DividesByACallAfterAUnit) {
  const std::vector<Token> tokens = tokenize("5 ms/ms_per_token(a)");
  ASSERT_EQ(tokens.size(), 4u);
  EXPECT_EQ(tokens[0].number.unit, unit("ms"));
  EXPECT_EQ(tokens[1].text, "/");
  EXPECT_EQ(tokens[2].kind, TokenKind::kCall);
}

TEST(Lexer, ErrorsNameColumnSeenAndWanted) {
  const auto error_of = [](const char* text) { return usage_error([&] { tokenize(text); }); };
  EXPECT_THAT(error_of("a @ b"), HasSubstr("column 3: saw '@', wanted a number"));
  EXPECT_THAT(error_of("5 min"), HasSubstr("column 3: saw 'min' after a number"));
  EXPECT_THAT(error_of("f('open"), HasSubstr("column 3: this quote is never closed"));
  EXPECT_THAT(error_of("f(a b)"), HasSubstr("column 5: saw 'b', wanted ',' or ')'"));
  EXPECT_THAT(error_of("f(a"), HasSubstr("saw the end"));
  EXPECT_THAT(error_of("f(a,)"), HasSubstr("wanted an argument"));
  EXPECT_THAT(error_of("1e999"), HasSubstr("a number that a double can hold"));
  EXPECT_THAT(error_of("a & b"), HasSubstr("column 3"));
  EXPECT_THAT(error_of("f(1,2,3,4,5,6,7,8,9)"), HasSubstr("at most 8 arguments"));
}

TEST(Lexer, ErrorsPointAtThePlace) {
  EXPECT_THAT(usage_error([] { tokenize("a + $"); }), HasSubstr("\n  a + $\n      ^"));
  EXPECT_THAT(usage_error([] { tokenize("a \xff"); }), HasSubstr("'\\xff'"));
}

TEST(Lexer, RefusesALongText) {
  EXPECT_EQ(tokenize(std::string(kExpressionBytesMax, ' ')).size(), 1u);
  EXPECT_THAT(usage_error([] { tokenize(std::string(kExpressionBytesMax + 1, ' ')); }),
              HasSubstr("at most 4096"));
}

}  // namespace
}  // namespace nvllm::bench
