#include "bench/analysis/family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nvllm::bench {
namespace {

HypothesisResult decided(double p, Truth truth) {
  HypothesisResult hypothesis;
  hypothesis.truth = truth;
  hypothesis.comparisons.emplace_back();
  hypothesis.comparisons[0].p = p;
  hypothesis.comparisons[0].truth = truth;
  hypothesis.comparisons[0].interval_level = 0.90;
  return hypothesis;
}

TEST(Family, ALoneHypothesisKeepsItsOwnP) {
  std::vector<HypothesisResult> one = {decided(0.03, Truth::kTrue)};
  EXPECT_DOUBLE_EQ(*apply_holm(one)[0], 0.03);
  EXPECT_EQ(one[0].truth, Truth::kTrue);
}

TEST(Family, TwoWeakOnesDoNotHoldTogether) {
  std::vector<HypothesisResult> two = {decided(0.03, Truth::kTrue), decided(0.04, Truth::kTrue)};
  EXPECT_DOUBLE_EQ(*apply_holm(two)[0], 0.06);
  EXPECT_EQ(two[0].truth, Truth::kUnknown);
  EXPECT_THAT(two[0].comparisons[0].unknown_because, testing::HasSubstr("becomes 0.06 among 2 hypotheses"));
}

TEST(Family, AStrongOneBearsAWeakOne) {
  std::vector<HypothesisResult> two = {decided(0.001, Truth::kTrue), decided(0.04, Truth::kTrue)};
  const auto adjusted = apply_holm(two);
  EXPECT_DOUBLE_EQ(*adjusted[0], 0.002);
  EXPECT_DOUBLE_EQ(*adjusted[1], 0.04);
  EXPECT_EQ(two[1].truth, Truth::kTrue);
}

TEST(Family, ARefutedOneCountsByTheSideItLiesOn) {
  std::vector<HypothesisResult> two = {decided(0.999, Truth::kFalse), decided(0.97, Truth::kFalse)};
  const auto adjusted = apply_holm(two);
  EXPECT_NEAR(*adjusted[0], 0.002, 1e-12);
  EXPECT_EQ(two[0].truth, Truth::kFalse);
  EXPECT_EQ(two[1].truth, Truth::kFalse);  // 0.03 is the larger of the two and keeps itself
}

TEST(Family, AHypothesisWithoutAPStandsOutside) {
  std::vector<HypothesisResult> two = {decided(0.03, Truth::kTrue), decided(0.03, Truth::kTrue)};
  two[1].comparisons[0].p.reset();
  const auto adjusted = apply_holm(two);
  EXPECT_DOUBLE_EQ(*adjusted[0], 0.03);
  EXPECT_FALSE(adjusted[1].has_value());
}

}  // namespace
}  // namespace nvllm::bench
