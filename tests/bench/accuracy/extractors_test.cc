#include "bench/accuracy/extractors.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "bench/import/legacy_3leg.h"

namespace nvllm::bench {
namespace {

namespace fs = std::filesystem;
using enum Extractor;

TEST(Extractors, StrictReadsTheLastMarkerAndFirstMarkerTheFirst) {
  const std::string text = "so #### 18\nQuestion: another\n#### 1,032.\n";
  EXPECT_EQ(extract_answer(kStrict, text), "1032");
  EXPECT_EQ(extract_answer(kFirstMarker, text), "18");
  EXPECT_EQ(extract_answer(kStrict, "the answer is 18"), "");
  EXPECT_EQ(extract_answer(kStrict, "#### none, or 5"), "");
  EXPECT_EQ(extract_answer(kStrict, "####"), "");
  EXPECT_EQ(extract_answer(kStrict, ""), "");
  EXPECT_EQ(extract_answer(kStrict, "####\n 5"), "5");
}

TEST(Extractors, TwoThousandsSeparatorsAreOneNumberButNotForTheOldRule) {
  EXPECT_EQ(extract_answer(kFlexible, "It costs 1,450,000"), "1450000");
  EXPECT_EQ(extract_answer(kStrict, "#### 1,450,000"), "1450000");
  EXPECT_EQ(extract_answer(kLegacy, "It costs 1,450,000"), "0");
  EXPECT_EQ(extract_answer(kLegacy, "It costs 114,200"), "114200");
  EXPECT_EQ(extract_answer(kLegacy, "#### 1,450,000"), "1450000");  // behind a marker it never fails
}

TEST(Extractors, CurrencyAndFractionsAreReadWhole) {
  EXPECT_EQ(extract_answer(kFlexible, "It is $1,234.50."), "1234.5");
  EXPECT_EQ(extract_answer(kLegacy, "It is $1,234.50."), "50");  // "1,234" and then ".50" apart
  EXPECT_EQ(extract_answer(kLegacy, "The answer is $38.00.\n"), "38");
  EXPECT_EQ(extract_answer(kLegacy, "It is 7.99"), "7");
  EXPECT_EQ(extract_answer(kFlexible, "It is 7.00"), "7");
  EXPECT_EQ(extract_answer(kFlexible, "007"), "7");
  EXPECT_EQ(extract_answer(kFlexible, "0.50"), "0.5");
  EXPECT_EQ(extract_answer(kFlexible, "000"), "0");
}

TEST(Extractors, AMinusCountsOnlyWhereItIsASign) {
  EXPECT_EQ(extract_answer(kStrict, "#### -10"), "-10");
  EXPECT_EQ(extract_answer(kFlexible, "the change is -3"), "-3");
  EXPECT_EQ(extract_answer(kFlexible, "the change is -$3"), "-3");
  EXPECT_EQ(extract_answer(kStrict, "#### -$3"), "-3");
  EXPECT_EQ(extract_answer(kFlexible, "that is 8-3"), "3");
  EXPECT_EQ(extract_answer(kLegacy, "that is 8-3"), "-3");  // its rule takes the minus along
  EXPECT_EQ(extract_answer(kFlexible, "-0"), "0");
}

TEST(Extractors, TheLastNumberOfARunOnTextIsTheFlexibleOne) {
  EXPECT_EQ(extract_answer(kFlexible, "18 dollars. So 20"), "20");
  EXPECT_EQ(extract_answer(kLegacy, "18 dollars. So 20"), "20");
  EXPECT_EQ(extract_answer(kFlexible, "no number at all"), "");
  EXPECT_EQ(extract_answer(kLegacy, "no number at all"), "");
  EXPECT_EQ(extract_answer(kFlexible, "1, 2,3 and 1234,567"), "567");
}

TEST(Extractors, TheOldRuleSkipsMarkersWithoutANumberAndKeepsWhatIsNoNumber) {
  EXPECT_EQ(extract_answer(kLegacy, "#### none, then #### 5"), "5");
  EXPECT_EQ(extract_answer(kLegacy, "#### 5\n#### 6"), "5");
  EXPECT_EQ(extract_answer(kLegacy, "#### 18."), "18");
  EXPECT_EQ(extract_answer(kLegacy, "#### 1.2.3"), "1.2.3");
  EXPECT_EQ(extract_answer(kLegacy, "#### $18, so 20"), "20");
}

TEST(GoldAnswer, IsTheMarkedLineInNormalForm) {
  EXPECT_EQ(gold_answer("16 - 3 = 13\n#### 1,450,000", kStrict), "1450000");
  EXPECT_EQ(gold_answer("#### 2.50", kFlexible), "2.5");
  EXPECT_EQ(gold_answer("#### 2.50", kLegacy), "2");
  EXPECT_EQ(gold_answer("#### -10", kLegacy), "-10");
  EXPECT_EQ(gold_answer("it is 12", kStrict), "12");
}

TEST(Disagreement, IsTwoReadingsThatFoundDifferentNumbers) {
  EXPECT_FALSE(disagree({.strict = "", .first_marker = "", .flexible = "5", .legacy = "5"}));
  EXPECT_FALSE(disagree({.strict = "5", .first_marker = "5", .flexible = "5", .legacy = "5"}));
  EXPECT_TRUE(disagree({.strict = "5", .first_marker = "5", .flexible = "6", .legacy = "5"}));
  EXPECT_TRUE(disagree({.strict = "", .first_marker = "", .flexible = "7.5", .legacy = "7"}));
  EXPECT_FALSE(disagree({.strict = "", .first_marker = "", .flexible = "", .legacy = ""}));
}

TEST(Extractors, TheOldRuleGivesThePublishedAnswers) {
  const char* set = std::getenv("NVLLM_SHARED");
  const fs::path shared = set != nullptr ? fs::path(set) : fs::path(NVLLM_SOURCE_DIR) / "../shared";
  const fs::path published = shared / "data/phaseE-tax";
  if (!fs::exists(published)) GTEST_SKIP() << published << " is absent; NVLLM_SHARED names the folder of shared data";
  std::int64_t answers = 0;
  for (const auto& folder : fs::directory_iterator(published)) {
    for (const LegEvidence& leg : import_legacy_3leg(folder.path()).legs) {
      for (const QuestionResult& one : leg.questions) {
        if (!finished(one)) continue;
        ++answers;
        // The files keep the last 200 characters, and the number that the rule looks for is in them.
        EXPECT_EQ(extract_answer(kLegacy, one.output_tail), one.pred) << one.output_tail;
      }
    }
  }
  EXPECT_EQ(answers, 200);
}

TEST(ExtractorNames, ReadBack) {
  for (const Extractor one : {kStrict, kFirstMarker, kFlexible, kLegacy})
    EXPECT_EQ(parse_extractor(to_string(one)), one);
  EXPECT_EQ(parse_extractor("last"), std::nullopt);
}

}  // namespace
}  // namespace nvllm::bench
