#include "bench/report/notes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/report/analysis_of.h"
#include "bench/report/report.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> unfounded(const std::string& notes) {
  static const Json analysis = unchanged();
  std::vector<std::string> figures;
  for (const NotedFigure& one : unfounded_figures(notes, analysis)) figures.push_back(one.text);
  return figures;
}

TEST(Notes, AFigureWithinRoundingOfAFieldIsFounded) {
  // The fused kernel takes 400 us a call but for the boots' scatter, is called 2,000 times a boot,
  // and falls over at 62.5 %; a token takes 10 ms; four boots.
  EXPECT_THAT(
      unfounded("8,000 calls in 4 boots; 62.5 % or 63 %, 10.0 ms a token (90 % interval)\n"),
      IsEmpty());
}

TEST(Notes, AFigureOffByOneInItsLastPlaceIsNot) {
  EXPECT_THAT(unfounded("falls by 62.6 %\n"), ElementsAre("62.6 %"));
  EXPECT_THAT(unfounded("8,001 calls\nand 10.3ms\n"), ElementsAre("8,001", "10.3ms"));
}

TEST(Notes, LinesAreCountedFromOne) {
  const auto found = unfounded_figures("first\n\nthird: 8,001 calls\n", unchanged());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].line, 3);
}

TEST(Notes, NamesDatesVersionsListNumbersAndCodeAreNoFigures) {
  EXPECT_THAT(unfounded("1234. On 2026-05-17 at 12:31:07 leg8 of v0.987.1 ran H77; see `make "
                        "8001`\n```\n8001\n```\n"),
              IsEmpty());
}

TEST(Notes, AreQuotedInEveryReportForPeople) {
  Json analysis = unchanged();
  add_notes(analysis, "The fan was *loud* <b>here</b>.\n\nNothing else.\n");
  EXPECT_THAT(render_report(analysis, "summary"),
              HasSubstr("## Human notes\n\n> The fan was *loud* <b>here</b>.\n>\n> Noth"));
  EXPECT_THAT(render_report(analysis, "pr"), HasSubstr("## Human notes"));
  EXPECT_THAT(render_report(analysis, "html"),
              HasSubstr("<blockquote>The fan was *loud* &lt;b&gt;here&lt;/b&gt;."));
  EXPECT_FALSE(notes_refused(analysis));
  EXPECT_THAT(render_report(unchanged(), "summary"), Not(HasSubstr("Human notes")));
}

TEST(Notes, WithAnUnfoundedFigureAreNotQuotedAtAll) {
  Json analysis = unchanged();
  add_notes(analysis, "The fan was loud.\nIt got 77.7 % faster.\n");
  EXPECT_TRUE(notes_refused(analysis));
  const std::string summary = render_report(analysis, "summary");
  EXPECT_THAT(summary, HasSubstr("NOTES.md is not quoted"));
  EXPECT_THAT(summary, HasSubstr("- line 2: 77.7 %"));
  EXPECT_THAT(summary, Not(HasSubstr("fan")));
}

TEST(Notes, AreReadFromTheFolderWhereTheyLie) {
  const test::TempFolder temp;
  EXPECT_EQ(read_notes(temp.path()), std::nullopt);
  std::ofstream(temp.path() / "NOTES.md") << "words\n";
  EXPECT_EQ(read_notes(temp.path()), "words\n");
}

}  // namespace
}  // namespace nvllm::bench
