#include "bench/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "bench/report/analysis_of.h"
#include "bench/report/notes.h"
#include "bench/report/sections.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Report, SectionsComeInTheReferencesOrder) {
  const std::string summary = render_report(compared(folder(4), folder(4)).analysis, "summary");
  std::size_t at = 0;
  for (const char* heading : {"## Verdict", "## Provenance", "## Legs", "## Kernels",
                              "## Time per token", "## GSM8K", "## Conclusion", "## Reproduce"}) {
    const std::size_t found = summary.find(heading);
    ASSERT_NE(found, std::string::npos) << heading;
    EXPECT_GE(found, at) << heading;
    at = found;
  }
}

TEST(Report, SentencesFollowTheQuestionsThatChanged) {
  EvidenceFolder before = folder(4), now = folder(4);
  now.legs[0].questions[7] = answer(8, QuestionStatus::kWrong);
  now.legs[0].questions[23] = answer(24, QuestionStatus::kTimeout);
  before.legs[0].questions[10] = answer(11, QuestionStatus::kTimeout);
  const std::string pr = render_report(compared(before, now).analysis, "pr");
  EXPECT_THAT(pr, HasSubstr("**few**: questions 8 and 24 lost, question 11 gained"));
  EXPECT_THAT(pr, HasSubstr("24: ok to timeout"));
  EXPECT_THAT(pr, HasSubstr("**many**: nothing lost, nothing gained"));
  EXPECT_THAT(pr, HasSubstr("199 to 198 of 200"));
}

TEST(Report, AnswersOfOtherLengthsAreTold) {
  EvidenceFolder now = folder(4);
  for (QuestionResult& q : now.legs[0].questions) q.completion_tokens *= 2;
  const std::string pr = render_report(compared(folder(4), now).analysis, "pr");
  EXPECT_THAT(
      pr, HasSubstr("hold 110 to 221 tokens on average, **beyond +-10 %**"));  // 10 + i, i to 200
  EXPECT_THAT(pr, HasSubstr("hold 110 to 110 tokens on average."));
}

TEST(Report, BoxesAreTickedByGatesAlone) {
  const std::string good = render_report(compared(folder(4), folder(4)).analysis, "pr");
  EXPECT_THAT(good, HasSubstr("- [x] gate kernels (required): PASS\n"));
  const std::string slow = render_report(
      compared(folder(4), folder(4, {.fused_us = 400, .plain_us = 150, .gemm_us = 55})).analysis,
      "pr");
  EXPECT_THAT(slow, HasSubstr("- [ ] gate kernels (required): FAIL\n"));
  EXPECT_THAT(slow, HasSubstr("- [ ] rules registered before the measurement: post-hoc"));
}

TEST(Report, ThePrCarriesTheNamedKernelsOnly) {
  const std::string pr = render_report(compared(folder(4), folder(4)).analysis, "pr");
  EXPECT_THAT(pr, HasSubstr("| few | DecodeKernel | 56,000 | 56,000 |"));  // four boots of 14,000
  EXPECT_THAT(pr, Not(HasSubstr("| few | some_gemm |")));
  EXPECT_THAT(render_report(compared(folder(4), folder(4)).analysis, "summary"),
              HasSubstr("| few | some_gemm |"));
}

TEST(Report, ARefusedComparisonShowsTheFieldAndNoFigures) {
  EvidenceFolder now = folder(4);
  now.legs[0].profile_metadata["model"] = "other";
  const Json analysis = compared(folder(4), now).analysis;
  for (const char* format : {"summary", "pr"}) {
    const std::string text = render_report(analysis, format);
    EXPECT_THAT(text, HasSubstr("| few/profile/model | \"m\" | \"other\" |")) << format;
    EXPECT_THAT(text, Not(HasSubstr("DecodeKernel |"))) << format;
  }
}

TEST(Report, ReadsBackWhatTheComparisonWrote) {
  const test::TempFolder temp;
  const Comparison comparison = compared(folder(4), folder(4));
  for (const auto& [name, text] : comparison.files) {
    std::filesystem::create_directories((temp.path() / name).parent_path());
    write_file_atomically(temp.path() / name, text);
  }
  const Json read = read_analysis(temp.path());
  for (const char* format : {"summary", "pr", "html", "junit", "github"}) {
    EXPECT_EQ(render_report(read, format), render_report(comparison.analysis, format)) << format;
  }
}

TEST(Report, RefusesOtherFormatsAndFoldersWithoutAnalysis) {
  const test::TempFolder temp;
  EXPECT_THROW(read_analysis(temp.path()), Error);
  EXPECT_THROW(render_report(compared(folder(4), folder(4)).analysis, "pdf"), Error);
  EXPECT_THROW(render_report(Json::object(), "summary"), Error);
}

TEST(Report, AFolderWithoutABaselineIsNeverCalledUnchanged) {
  const Json analysis = alone(folder(4));
  for (const char* format : {"summary", "pr", "html"}) {
    const std::string text = render_report(analysis, format);
    EXPECT_THAT(text, Not(HasSubstr("EQUIVALENT"))) << format;
    EXPECT_THAT(text, Not(HasSubstr("| +0.00 %"))) << format;
    EXPECT_THAT(text, Not(HasSubstr(">+0.00 %"))) << format;
    EXPECT_THAT(text, HasSubstr("No baseline: nothing is said about change.")) << format;
  }
  EXPECT_THAT(render_report(analysis, "summary"),
              HasSubstr("| few | DecodeKernel | 56,000 | 150.0 | 26.5"));
}

TEST(Report, TheModeratedTStandsBesideThePlainOne) {
  const std::string summary = render_report(
      compared(folder(4), folder(4, {.fused_us = 404, .plain_us = 151, .gemm_us = 50})).analysis,
      "summary");
  EXPECT_THAT(
      summary,
      HasSubstr(
          "| 90 % interval | t (df) | outcome |"));  // no scatter of the ratios: nothing to shrink
  EvidenceFolder now = folder(4);
  for (LegEvidence& leg : now.legs) {
    for (std::size_t i = 0; i < leg.profiles.size(); ++i) {
      for (std::size_t row = 0; row < leg.profiles[i].rows.size(); ++row) {
        leg.profiles[i].rows[row].mean_us *= 1 + 0.002 * static_cast<double>((i * 7 + row * 3) % 5);
      }
    }
  }
  const Json analysis = compared(folder(4), now).analysis;
  EXPECT_THAT(render_report(analysis, "summary"),
              HasSubstr("| t (df) | moderated 90 % interval | moderated t (df) | outcome |"));
  for (const Json& kernel : analysis.at("kernels_ab").at("legs").at(0).at("kernels")) {
    const Json& test = kernel.at("test");
    ASSERT_TRUE(test.contains("moderated"));
    EXPECT_EQ(test.at("df"), 3);
    EXPECT_TRUE(test.at("moderated").at("df").is_null() ||
                test.at("moderated").at("df").get<double>() > 3);
  }
}

TEST(Report, NothingHostileBecomesMarkupAnywhereInTheHtml) {
  EvidenceFolder made = folder(3);
  for (LegEvidence& leg : made.legs) {
    leg.profile_metadata["git_commit"] = kHostile;
    for (KernelTable& table : leg.profiles)
      table.rows[0].name = table.rows[0].short_name = kHostile;
    for (QuestionResult& q : leg.questions) q.question = q.output_tail = q.pred = q.gold = kHostile;
  }
  Json analysis = compared(made, made).analysis;
  add_notes(analysis, kHostile);
  for (const Json& shown : {analysis, [&] {
                              Json one = analysis;
                              one["comparability"]["baseline"]["name"] =
                                  "no baseline (the folder itself)";
                              return one;
                            }()}) {
    const std::string html = render_report(shown, "html");
    EXPECT_THAT(html, Not(HasSubstr("<script")));
    EXPECT_THAT(html, Not(HasSubstr("<b onclick")));
    EXPECT_EQ(count_of(html, "</title>"), count_of(html, "<title>"));
    EXPECT_GT(count_of(html, "&lt;script&gt;"), 20u);
  }
}

TEST(Cell, KeepsATableATable) { EXPECT_EQ(cell("a|b\nc"), "a\\|b c"); }

TEST(Grouped, SetsThousandsApart) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(35700), "35,700");
  EXPECT_EQ(grouped(1000005), "1,000,005");
  EXPECT_EQ(grouped(-1234), "-1,234");
}

}  // namespace
}  // namespace nvllm::bench
