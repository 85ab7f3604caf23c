#include <gtest/gtest.h>

#include <vector>

#include "kernels/cuda/attention.h"

namespace nvllm::cuda {
namespace {

constexpr AttentionGeometry kGeometry{.heads = 24, .kv_heads = 4, .head_dim = 256, .rotary_dims = 64, .block_tokens = 16};

int chunk_for(const std::vector<int>& lengths) { return attention_chunk_tokens(kGeometry, AttentionForm::kTiles, lengths, 132); }

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
  EXPECT_EQ(attention_chunk_tokens({.heads = 16, .kv_heads = 2, .head_dim = 64, .rotary_dims = 64, .block_tokens = 16}, AttentionForm::kTiles, std::vector{1}, 132), 256);
}

}  // namespace
}  // namespace nvllm::cuda
