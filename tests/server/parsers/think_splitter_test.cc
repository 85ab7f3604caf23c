#include "server/parsers/think_splitter.h"

#include <gtest/gtest.h>

namespace nvllm::server {
namespace {

TEST(ThinkSplitter, ShowsThoughtsAtOnceButForWhatMayBeATag) {
  ThinkSplitter splitter(ThinkingStart::kInside);
  EXPECT_EQ(splitter.push("so x").reasoning, "so x");
  EXPECT_EQ(splitter.push(" < y").reasoning, " < y");
  EXPECT_EQ(splitter.push(" </th").reasoning, " ");
  EXPECT_EQ(splitter.push("at").reasoning, "</that");
  EXPECT_EQ(splitter.push("\n\n").reasoning, "");
  EXPECT_EQ(splitter.push("more").reasoning, "\n\nmore");
  EXPECT_TRUE(splitter.thinking());
}

TEST(ThinkSplitter, KnowsWhenThinkingIsOver) {
  ThinkSplitter splitter(ThinkingStart::kOutside);
  EXPECT_FALSE(splitter.thinking());
  EXPECT_EQ(splitter.push("<think>a").reasoning, "a");
  EXPECT_TRUE(splitter.thinking());
  const ThoughtAndSpeech last = splitter.push("b\n</think>\n\nc");
  EXPECT_EQ(last.reasoning, "b");
  EXPECT_EQ(last.content, "c");
  EXPECT_FALSE(splitter.thinking());
}

TEST(ThinkSplitter, TakesTagsElsewhereForText) {
  ThinkSplitter splitter(ThinkingStart::kOutside);
  EXPECT_EQ(splitter.push("The <think> tag").content, "The <think> tag");
  EXPECT_EQ(splitter.push(" and </think>").content, " and </think>");
  EXPECT_EQ(splitter.finish().content, "");
}

TEST(ThinkSplitter, SeesACallOnlyAtTheBeginningOfALineOfThoughts) {
  ThinkSplitter splitter(ThinkingStart::kInside, "<tool_call>\n{");
  EXPECT_EQ(splitter.push("use <tool_call>\n{ here").reasoning, "use <tool_call>\n{ here");
  const ThoughtAndSpeech call = splitter.push("\n<tool_call>\n{\"");
  EXPECT_EQ(call.reasoning, "");
  EXPECT_EQ(call.content, "<tool_call>\n{\"");
}

}  // namespace
}  // namespace nvllm::server
