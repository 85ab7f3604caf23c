#include "bench/report/markdown_html.h"

#include <gtest/gtest.h>

namespace nvllm::bench {
namespace {

TEST(MarkdownHtml, TurnsTablesListsAndBoxesIntoElements) {
  EXPECT_EQ(html_from_markdown("## A\n\n| a | b |\n| --- | ---: |\n| 1 | x\\|y |\n\n- [x] done\n- [ ] open\n- plain\n"),
            "<h2>A</h2>\n<div "
            "class=\"wide\"><table>\n<tr><th>a</th><th>b</th></tr>\n<tr><td>1</td><td class=\"n\">x|y</td></tr>\n</table></div>\n"
            "<ul>\n<li>&#9745; done</li>\n<li>&#9744; open</li>\n<li>plain</li>\n</ul>\n");
}

TEST(MarkdownHtml, NothingFromTheDataBecomesMarkup) {
  EXPECT_EQ(html_from_markdown("kernel<int, a&b> <script>\n"), "<p>kernel&lt;int, a&amp;b&gt; &lt;script&gt;\n</p>\n");
  EXPECT_EQ(html_from_markdown("```\n<b>**x**\n```\n"), "<pre>&lt;b&gt;**x**\n</pre>\n");
  EXPECT_EQ(escape_html("\"<>&"), "&quot;&lt;&gt;&amp;");
}

TEST(MarkdownHtml, MarksStrongCodeAndBreaksAndLeavesLoneMarksAlone) {
  EXPECT_EQ(html_from_markdown("**a** `b` c<br>d **\n"), "<p><strong>a</strong> <code>b</code> c<br>d **\n</p>\n");
}

}  // namespace
}  // namespace nvllm::bench
