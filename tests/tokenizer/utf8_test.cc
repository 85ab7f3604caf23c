#include "tokenizer/utf8.h"

#include <gtest/gtest.h>

#include "tokenizer/byte_alphabet.h"

namespace nvllm::tokenizer {
namespace {

std::string lossy(std::string_view text) {
  std::string out;
  append_lossy(text, out);
  return out;
}

constexpr const char* kOne = "\xef\xbf\xbd";

TEST(Utf8, ReplacesMaximalInvalidPartsAsTheUnicodeStandardShows) {
  // The example of table 3-8 of the Unicode standard.
  EXPECT_EQ(lossy("a\xf1\x80\x80\xe1\x80\xc2"
                  "b\x80"
                  "c\x80\xbf"
                  "d"),
            std::string("a") + kOne + kOne + kOne + "b" + kOne + "c" + kOne + kOne + "d");
}

TEST(Utf8, OverlongFormsSurrogatesAndTooLargeValuesAreInvalid) {
  EXPECT_EQ(lossy("\xc0\xaf"), std::string(kOne) + kOne);
  EXPECT_EQ(lossy("\xe0\x80\x80"), std::string(kOne) + kOne + kOne);
  EXPECT_EQ(lossy("\xed\xa0\x80"), std::string(kOne) + kOne + kOne);
  EXPECT_EQ(lossy("\xf4\x90\x80\x80"), std::string(kOne) + kOne + kOne + kOne);
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));
}

TEST(Utf8, EveryCodePointSurvivesBothWays) {
  for (std::uint32_t c = 0; c <= 0x10ffff; ++c) {
    if (c >= 0xd800 && c <= 0xdfff) continue;
    std::string text;
    append_code_point(c, text);
    const Utf8Step step = utf8_step(text, 0);
    ASSERT_EQ(step.kind, Utf8Step::Kind::kCharacter);
    ASSERT_EQ(step.code_point, c);
    ASSERT_EQ(step.bytes, text.size());
  }
}

TEST(ByteAlphabet, EntriesAndBytesAreInverse) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(bytes_of_entry(entry_of_bytes(all)), all);
  EXPECT_EQ(entry_of_bytes(" the\n"), "\xc4\xa0the\xc4\x8a");
}

TEST(ByteAlphabet, AnEntryWithAnotherCharacterSpellsNoBytes) {
  EXPECT_EQ(bytes_of_entry("a b"), std::nullopt);
  EXPECT_EQ(bytes_of_entry("\xef\xbd\x9c"), std::nullopt);
}

}  // namespace
}  // namespace nvllm::tokenizer
