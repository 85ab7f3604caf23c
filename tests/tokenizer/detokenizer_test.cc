#include "tokenizer/detokenizer.h"

#include <gtest/gtest.h>

#include "support.h"
#include "tokenizer/utf8.h"

namespace nvllm::tokenizer {
namespace {

/// Pushes the bytes of `text` as byte tokens; gives the pieces and, last, what finish() gives.
std::vector<std::string> pieces_of(const Tokenizer& tokenizer, std::string_view text) {
  Detokenizer detokenizer(tokenizer, true);
  std::vector<std::string> pieces;
  for (const char byte : text) pieces.push_back(detokenizer.push(static_cast<std::uint8_t>(byte)));
  pieces.push_back(detokenizer.finish());
  return pieces;
}

std::string joined(const std::vector<std::string>& pieces) {
  std::string text;
  for (const auto& piece : pieces) text += piece;
  return text;
}

std::string lossy(std::string_view text) {
  std::string out;
  append_lossy(text, out);
  return out;
}

TEST(Detokenizer, NeverSplitsACharacterOfAnyCodePoint) {
  const Tokenizer tokenizer = load(small_tokenizer());
  for (std::uint32_t c = 0; c <= 0x10ffff; ++c) {
    if (c >= 0xd800 && c <= 0xdfff) continue;
    std::string text;
    append_code_point(c, text);
    const auto pieces = pieces_of(tokenizer, text);
    ASSERT_EQ(pieces[text.size() - 1], text) << c;
    ASSERT_EQ(joined(pieces), text) << c;
  }
}

TEST(Detokenizer, AnUnfinishedCharacterBecomesOneReplacementAtTheEnd) {
  const Tokenizer tokenizer = load(small_tokenizer());
  const auto pieces = pieces_of(tokenizer, "\xf0\x9f\x98");
  EXPECT_EQ(pieces, (std::vector<std::string>{"", "", "", "\xef\xbf\xbd"}));
}

TEST(Detokenizer, RandomBytesGiveWhatReplacingThemAllAtOnceGives) {
  const Tokenizer tokenizer = load(small_tokenizer());
  constexpr std::string_view kBytes =
      "a\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc2\xdf\xe0\xe1\xed\xef\xf0\xf1\xf4\xf5\xff";
  Draw draw(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::uint64_t left = draw.below(10); left > 0; --left) {
      text += kBytes[draw.below(kBytes.size())];
    }
    const auto pieces = pieces_of(tokenizer, text);
    for (const auto& piece : pieces) ASSERT_TRUE(is_utf8(piece));
    ASSERT_EQ(joined(pieces), lossy(text));
  }
}

TEST(Detokenizer, ASkippedSpecialTokenDoesNotBreakTheCharacterAroundIt) {
  const Tokenizer tokenizer = load(small_tokenizer());
  const auto text_of = [&](bool skip_special) {
    Detokenizer detokenizer(tokenizer, skip_special);
    std::string text;
    for (const std::int32_t id : {0xc3, 300, 0xa9}) text += detokenizer.push(id);
    return text + detokenizer.finish();
  };
  EXPECT_EQ(text_of(true), "\xc3\xa9");
  EXPECT_EQ(text_of(false), "\xef\xbf\xbd<|end|>\xef\xbf\xbd");
}

TEST(Detokenizer, FinishLeavesItReadyForAnotherText) {
  const Tokenizer tokenizer = load(small_tokenizer());
  Detokenizer detokenizer(tokenizer, true);
  detokenizer.push(0xe4);
  EXPECT_EQ(detokenizer.finish(), "\xef\xbf\xbd");
  EXPECT_EQ(detokenizer.push('x'), "x");
  EXPECT_EQ(detokenizer.finish(), "");
}

}  // namespace
}  // namespace nvllm::tokenizer
