#include "tokenizer/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.h"

namespace nvllm::tokenizer {
namespace {

using testing::ElementsAre;

std::vector<std::string> split(const char* pattern, std::string_view text) {
  Regex::Scratch scratch;
  std::vector<std::string> pieces;
  Regex(pattern).split(text, scratch, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

TEST(Regex, KeepsMatchesAndWhatLiesBetween) {
  EXPECT_THAT(split("\\d+", "ab12c"), ElementsAre("ab", "12", "c"));
  EXPECT_THAT(split("x", ""), ElementsAre());
  EXPECT_THAT(split("x*", "axb"), ElementsAre("a", "x", "b")) << "empty matches are no pieces";
}

TEST(Regex, WhiteSpaceIsUnicodesAndLeavesOutTheMongolianVowelSeparator) {
  EXPECT_THAT(split("\\s+",
                    "a\xc2\xa0\xe3\x80\x80\xc2\x85"
                    "b"),
              ElementsAre("a", "\xc2\xa0\xe3\x80\x80\xc2\x85", "b"));
  EXPECT_THAT(split("\\s",
                    "a\xe1\xa0\x8e"
                    "b"),
              ElementsAre("a\xe1\xa0\x8e"
                          "b"));
  EXPECT_THAT(split("[^\\s]+", "\xe1\xa0\x8e x"), ElementsAre("\xe1\xa0\x8e", " ", "x"));
}

TEST(Regex, PropertiesKeepTheirBracesAndPlusSigns) {
  EXPECT_EQ(pcre2_pattern(R"([^\s\p{L}]+|\p{N}{1,3}|\S)"),
            R"([^\p{White_Space}\p{L}]+|\p{N}{1,3}|\P{White_Space})");
}

TEST(Regex, CaseIsFoldedAsUnicodeDoes) {
  EXPECT_THAT(split("(?i:'s)", "a'\xc5\xbf"), ElementsAre("a", "'\xc5\xbf"))
      << "the long s folds to s";
}

TEST(Regex, APatternThatDoesNotCompileIsABadFile) {
  expect_refusal([] { Regex("(a"); }, ErrorKind::kBadFile, {"(a", "compile"});
  expect_refusal([] { Regex("\\p{Nope}"); }, ErrorKind::kBadFile, {"Nope"});
}

}  // namespace
}  // namespace nvllm::tokenizer
