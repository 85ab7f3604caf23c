#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "kernels/cuda/attention.h"

namespace nvllm::cuda {
namespace {

constexpr AttentionGeometry kGeometry{.heads = 24, .kv_heads = 4, .head_dim = 256, .rotary_dims = 64, .block_tokens = 16};

constexpr int kCtas = 132;

int chunk_for(const std::vector<int>& lengths) { return attention_chunk_tokens(kGeometry, AttentionForm::kTiles, lengths, kCtas); }

TEST(AttentionCut, OneLongSequenceIsSpreadOverAllCtas) { EXPECT_EQ(chunk_for({4096}), 128); }

TEST(AttentionCut, ManySequencesAreOneItemAHead) {
  // 32 sequences of 4 KV heads are 128 items for 132 CTAs: any cut would make a second round.
  EXPECT_GE(chunk_for(std::vector<int>(32, 4097)), 4097);
  // 8 sequences are 32 heads: four pieces each.
  EXPECT_EQ(chunk_for(std::vector<int>(8, 4097)), 1152);
}

TEST(AttentionCut, ALongSequenceAmongShortOnesIsCut) {
  std::vector<int> lengths(8, 100);
  lengths.push_back(32768);
  EXPECT_LE(chunk_for(lengths), 2048);
}

TEST(AttentionCut, IsNeverLessThanATile) {
  EXPECT_EQ(chunk_for({1}), 128);
  EXPECT_EQ(attention_chunk_tokens({.heads = 16, .kv_heads = 2, .head_dim = 64, .rotary_dims = 64, .block_tokens = 16}, AttentionForm::kTiles, std::vector{1}, kCtas), 256);
}

/// How much more positions the fullest CTA has than all would have alike, for `lanes` sequences of 4096 tokens and one more,
/// whose items CTAs take in turns.
double unevenness(int lanes, AttentionForm form) {
  constexpr int kLength = 4097;
  const int chunk = attention_chunk_tokens(kGeometry, form, std::vector<int>(static_cast<std::size_t>(lanes), kLength), kCtas);
  std::vector<int> of_cta(kCtas);
  std::size_t item = 0;
  for (int group = 0; group < lanes * attention_groups(kGeometry); ++group) {
    for (int first = 0; first < kLength; first += chunk) of_cta[item++ % of_cta.size()] += std::min(chunk, kLength - first);
  }
  return std::ranges::max(of_cta) / (static_cast<double>(lanes) * attention_groups(kGeometry) * kLength / kCtas);
}

TEST(AttentionCut, RunsEndEvenlyForManySequences) {
  for (const int lanes : {16, 32, 48}) EXPECT_LT(unevenness(lanes, AttentionForm::kRuns), 1.07) << lanes << " lanes";
  EXPECT_LT(unevenness(8, AttentionForm::kRuns), 1.10);
  // 9 sequences are 36 heads: three pieces each leave 24 CTAs idle, which costs less than two more items a CTA.
  EXPECT_LT(unevenness(9, AttentionForm::kRuns), 1.27);
}

TEST(AttentionCut, RunsAreCutFinerThanTiles) {
  const auto chunk = [](int lanes) {
    return attention_chunk_tokens(kGeometry, AttentionForm::kRuns, std::vector<int>(static_cast<std::size_t>(lanes), 4097), kCtas);
  };
  EXPECT_EQ(chunk(1), 128);
  EXPECT_EQ(chunk(8), 1088);
  EXPECT_EQ(chunk(9), 1408);
  EXPECT_EQ(chunk(16), 2112);
  EXPECT_GE(chunk(32), 4097);
  EXPECT_EQ(chunk(48), 2112);
}

TEST(AttentionCut, IsAMultipleOfTheCachesRuns) {
  for (const AttentionForm form : {AttentionForm::kTiles, AttentionForm::kRuns}) {
    for (int length = 1; length < 9000; length += 97) {
      for (const int lanes : {1, 5, 9, 31}) {
        const int chunk = attention_chunk_tokens(kGeometry, form, std::vector<int>(static_cast<std::size_t>(lanes), length), kCtas);
        ASSERT_EQ(chunk % 16, 0) << lanes << " of " << length;
        ASSERT_GE(chunk, attention_least_tokens(form, kGeometry.head_dim));
      }
    }
  }
}

}  // namespace
}  // namespace nvllm::cuda
