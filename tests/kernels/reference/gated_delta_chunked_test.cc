#include "kernels/reference/gated_delta_chunked.h"

#include <gtest/gtest.h>

#include "kernels/delta_case.h"

namespace nvllm::test {
namespace {

constexpr double kDoubleRoundoff = 0x1.0p-53;

DeltaResult chunked(const DeltaCase& c, std::int64_t chunk_tokens) {
  DeltaResult result(c);
  ReferenceRows qkv(c.qkv), b = c.rounded_gates(), a(c.a);
  delta_rule_chunked(result.out.view(), qkv.view(), b.view(), a.view(), c.a_log, c.dt_bias, result.context(c),
                     chunk_tokens);
  return result;
}

/// The largest difference of outputs and of states; infinite for what is no number.
double distance(const DeltaResult& got, const DeltaResult& want) {
  double largest = 0;
  const auto take = [&](double x, double y) {
    const double difference = std::abs(x - y);
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);
  };
  for (std::size_t i = 0; i < want.out.data.size(); ++i) take(got.out.data[i], want.out.data[i]);
  for (std::size_t i = 0; i < want.state.size(); ++i) take(got.state[i], want.state[i]);
  return largest;
}

class DeltaChunks : public testing::TestWithParam<std::int64_t> {};

TEST_P(DeltaChunks, EqualTheRecurrenceForEqualAndGroupedHeads) {
  for (const std::int64_t ratio : {1, 3}) {
    const DeltaCase c(ratio);
    const double allowed = chunked_tolerance(c, kDoubleRoundoff, GetParam());
    ASSERT_LT(allowed, 1e-12);
    EXPECT_LE(distance(chunked(c, GetParam()), recurrence(c)), allowed) << "ratio " << ratio;
  }
}

TEST_P(DeltaChunks, NoticeTheLastBitOfAnInput) {
  const DeltaCase right(3);
  DeltaCase wrong(3);
  wrong.qkv.data[5].bits ^= 1;
  EXPECT_GT(distance(chunked(wrong, GetParam()), recurrence(right)),
            1e6 * chunked_tolerance(right, kDoubleRoundoff, GetParam()));
}

TEST_P(DeltaChunks, CutAtChunkEndsGiveTheSameBits) {
  const std::int64_t chunk = GetParam();
  DeltaCase c(3);
  c.segments.resize(1);
  const DeltaResult whole = chunked(c, chunk);
  DeltaResult pieces(c);
  ReferenceRows qkv(c.qkv), b = c.rounded_gates(), a(c.a);
  for (std::int64_t at = 0; at < DeltaCase::kLongest; at += chunk) {
    c.segments[0] = {.first_row = at,
                     .token_count = std::min(chunk, DeltaCase::kLongest - at),
                     .start = at,
                     .slot = 2,
                     .blocks = {}};
    delta_rule_chunked(pieces.out.view(), qkv.view(), b.view(), a.view(), c.a_log, c.dt_bias, pieces.context(c), chunk);
  }
  const auto count = static_cast<std::ptrdiff_t>(DeltaCase::kLongest * pieces.out.cols);
  EXPECT_TRUE(std::equal(whole.out.data.begin(), whole.out.data.begin() + count, pieces.out.data.begin()));
  EXPECT_EQ(whole.state, pieces.state);
}

INSTANTIATE_TEST_SUITE_P(Tokens, DeltaChunks, testing::Values(1, 7, 16, 64, 1000),
                         [](const auto& param) { return std::to_string(param.param); });

TEST(DeltaChunksDeath, RefuseChunksOfNothing) {
  const DeltaCase c(1);
  EXPECT_DEATH(chunked(c, 0), "chunk_tokens");
}

}  // namespace
}  // namespace nvllm::test
