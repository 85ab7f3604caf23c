#include "kernels/cuda/delta_segments.h"

#include <gtest/gtest.h>

namespace nvllm::cuda {
namespace {

TEST(DeltaSegments, FewHeadsFillTheMachine) {
  EXPECT_EQ(delta_segments(16, 128, 132), 4);
  EXPECT_EQ(delta_segments(22, 128, 132), 3);
  EXPECT_EQ(delta_segments(8, 128, 48), 3);
}

TEST(DeltaSegments, HeadsThatKeepMoreThanAThirdBusyAreLeftAlone) {
  EXPECT_EQ(delta_segments(23, 128, 132), 1);
  EXPECT_EQ(delta_segments(32, 128, 132), 1);
  EXPECT_EQ(delta_segments(48, 128, 132), 1);
  EXPECT_EQ(delta_segments(16, 128, 48), 1);
}

TEST(DeltaSegments, ShortPromptsAreCutLess) {
  EXPECT_EQ(delta_segments(16, 0, 132), 1);
  EXPECT_EQ(delta_segments(16, 23, 132), 1);
  EXPECT_EQ(delta_segments(16, 24, 132), 3);
  EXPECT_EQ(delta_segments(16, 32, 132), 4);
  EXPECT_EQ(delta_segments(1, 1000, 132), 16);
}

TEST(DeltaSegments, StayWithinTheMachineAndGrowWithThePrompt) {
  for (const int multiprocessors : {1, 48, 132, 148}) {
    for (int heads = 1; heads <= 64; ++heads) {
      int before = 1;
      for (int chunks = 0; chunks <= 300; ++chunks) {
        const int segments = delta_segments(heads, chunks, multiprocessors);
        EXPECT_GE(segments, before) << heads << " heads, " << chunks << " chunks";
        before = segments;
        if (segments == 1) continue;
        EXPECT_LE(segments * heads * kDeltaHeadCtas, multiprocessors) << heads << " heads";
        EXPECT_GE(DeltaCut(chunks, segments).each, kDeltaSegmentChunks) << chunks << " chunks";
      }
    }
  }
}

TEST(DeltaSegments, CoverEveryChunkOnceAndAreNeverEmpty) {
  for (int chunks = 1; chunks <= 130; ++chunks) {
    EXPECT_EQ(DeltaCut(chunks, 1).each, chunks);
    for (int wanted = 1; wanted <= kDeltaSegmentsMax; ++wanted) {
      const DeltaCut cut(chunks, wanted);
      EXPECT_LE(cut.segments, wanted);
      EXPECT_GE(cut.segments * cut.each, chunks);
      EXPECT_LT((cut.segments - 1) * cut.each, chunks) << chunks << " chunks in " << wanted;
    }
  }
}

TEST(DeltaSegments, ChunksAreRoundedUp) {
  EXPECT_EQ(delta_chunks(0), 0);
  EXPECT_EQ(delta_chunks(1), 1);
  EXPECT_EQ(delta_chunks(64), 1);
  EXPECT_EQ(delta_chunks(65), 2);
}

}  // namespace
}  // namespace nvllm::cuda
