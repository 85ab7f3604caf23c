#include "server/stop_search.h"

#include <gtest/gtest.h>

namespace nvllm::server {
namespace {

struct Case {
  std::vector<std::string> stops;
  std::string text;
  std::string shown;
  std::string hit;  // "" for none
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {{"STOP"}, "before STOP after", "before ", "STOP"},
      {{"STOP"}, "no such word: STO", "no such word: STO", ""},
      {{"\n\n"}, "a\nb\n\nc", "a\nb", "\n\n"},
      {{"aab"}, "aaaab", "aa", "aab"},
      {{"abcab"}, "abcabcab", "", "abcab"},
      {{"b", "ab"}, "xab", "x", "ab"},            // complete at the same place: the longest
      {{"abcdef", "bcd"}, "abcdef", "a", "bcd"},  // complete first wins
      {{"ab", "abc"}, "abc", "", "ab"},
      {{"x"}, "", "", ""},
      {{"aa", "ab"}, "caab", "c", "aa"},
      {{"é"}, "café noir", "caf", "é"},
  };
  return all;
}

TEST(StopSearch, FindsTheSameWhateverTheCuts) {
  for (const Case& c : cases()) {
    for (std::size_t step = 1; step <= c.text.size() + 1; ++step) {
      StopSearch search(c.stops, StopText::kCutBefore);
      std::string shown;
      for (std::size_t at = 0; at < c.text.size(); at += step) {
        shown += search.push(std::string_view(c.text).substr(at, step));
        ASSERT_TRUE(c.shown.starts_with(shown)) << c.text << " step " << step;
      }
      shown += search.finish();
      EXPECT_EQ(shown, c.shown) << c.text << " step " << step;
      EXPECT_EQ(search.hit().value_or(""), c.hit);
    }
  }
}

TEST(StopSearch, KeepsTheStopStringWhenAsked) {
  StopSearch search({"STOP"}, StopText::kKept);
  EXPECT_EQ(search.push("a ST"), "a ");
  EXPECT_EQ(search.push("OP b"), "STOP");
  EXPECT_EQ(search.push("more"), "");
}

TEST(StopSearch, ShowsTextAtOnceWhereNoStopStringCanBegin) {
  StopSearch search({"\n###"}, StopText::kCutBefore);
  EXPECT_EQ(search.push("plain"), "plain");
  EXPECT_EQ(search.push("\n#"), "");
  EXPECT_EQ(search.push("# not"), "\n## not");
}

TEST(StopSearch, DoesNotSearchWhatItIsToldNotTo) {
  StopSearch search({"ab"}, StopText::kCutBefore);
  EXPECT_EQ(search.push_unsearched("ab"), "ab");
  EXPECT_FALSE(search.hit());
  EXPECT_EQ(search.push("cab"), "c");
  EXPECT_TRUE(search.hit());
}

}  // namespace
}  // namespace nvllm::server
