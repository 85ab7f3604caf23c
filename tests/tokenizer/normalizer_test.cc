#include "tokenizer/normalizer.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>

#include "golden_lines.h"

namespace nvllm::tokenizer {
namespace {

std::string by_utf8proc(const std::string& text) {
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  utf8proc_uint8_t* out = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &out, options);
  std::string result(reinterpret_cast<const char*>(out), static_cast<std::size_t>(size));
  std::free(out);
  return result;
}

TEST(Nfc, AgreesWithUtf8procOnMixedText) {
  const Json alphabets = golden_json("alphabets.json");
  for (std::uint64_t i = 0; i < 5'000; ++i) {
    const std::string text = golden_line(alphabets, 700'000 + i);
    ASSERT_EQ(nfc(text), by_utf8proc(text)) << text;
  }
}

TEST(Nfc, CombiningMarkAfterAsciiIsComposed) {
  EXPECT_EQ(nfc("xe\xcc\x81y"), "x\xc3\xa9y");
  EXPECT_EQ(nfc("e\xcc\x81"), "\xc3\xa9");
}

TEST(Nfc, RangesGiveTheSameTextAndCoverOnlyWhatWasWhollyOpen) {
  const Json alphabets = golden_json("alphabets.json");
  for (std::uint64_t i = 0; i < 2'000; ++i) {
    OpenText text{golden_line(alphabets, 800'000 + i), {}};
    if (text.text.size() < 8) continue;
    Draw draw(i);
    std::size_t at = draw.below(text.text.size() / 2);
    const auto on_boundary = [&](std::size_t p) {
      while (p < text.text.size() && (static_cast<std::uint8_t>(text.text[p]) & 0xc0) == 0x80) ++p;
      return p;
    };
    const std::size_t begin = on_boundary(at);
    const std::size_t end = on_boundary(begin + 1 + draw.below(text.text.size() - begin));
    if (begin < end) text.open.push_back({begin, end});
    const OpenText normal = nfc(text);
    ASSERT_EQ(normal.text, nfc(text.text));
    for (const ByteRange& range : normal.open) {
      const std::string inside = normal.text.substr(range.begin, range.end - range.begin);
      ASSERT_NE(nfc(text.text.substr(begin, end - begin)).find(inside), std::string::npos);
    }
  }
}

TEST(Nfc, WhollyOpenTextStaysWhollyOpen) {
  const OpenText normal = nfc(OpenText{"abe\xcc\x81 c\xcc\xa7", {{0, 9}}});
  ASSERT_EQ(normal.open.size(), 1u);
  EXPECT_EQ(normal.open[0].begin, 0u);
  EXPECT_EQ(normal.open[0].end, normal.text.size());
}

}  // namespace
}  // namespace nvllm::tokenizer
