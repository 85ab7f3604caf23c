// The chunked delta rule in float against the recurrence in double, on every SIMD target.

#include <gtest/gtest.h>

#include "kernels/delta_case.h"

namespace nvllm::test {
namespace {

constexpr double kFloatRoundoff = 0x1.0p-24;

/// Outputs and states of a run in float.
struct FloatResult {
  HostRows out;
  std::vector<float> state;
  explicit FloatResult(const DeltaCase& c)
      : out(DeltaCase::kRows, c.shape.value_heads * c.shape.value_dim), state(c.state) {}
};

class CpuDeltaChunks : public OnEachSimdTarget {
 protected:
  static FloatResult chunked(const DeltaCase& c, std::int64_t chunk_tokens, std::int64_t threads = 2) {
    FloatResult result(c);
    run(result, c, chunk_tokens, threads);
    return result;
  }
  static void run(FloatResult& result, const DeltaCase& c, std::int64_t chunk_tokens, std::int64_t threads = 2) {
    CpuOps ops = make_ops(threads);
    HostRows qkv = c.qkv, b = c.b, a = c.a;
    const DeltaContext<CpuOps> context = {c.shape, c.segments, {nullptr, result.state.data(), DeltaCase::kSlots}};
    ops.delta_rule_chunked(result.out.view(), qkv.view(), b.view(), a.view(), c.a_log, c.dt_bias, context,
                           chunk_tokens);
  }
};

TEST_P(CpuDeltaChunks, AgreeWithTheRecurrenceInDouble) {
  for (const std::int64_t ratio : {1, 3}) {
    const DeltaCase c(ratio);
    const DeltaResult want = recurrence(c);
    for (const std::int64_t chunk : {1, 16, 64, 1000}) {
      const FloatResult got = chunked(c, chunk);
      const double allowed = chunked_tolerance(c, kFloatRoundoff, chunk);
      ASSERT_LT(allowed, 0.01 * 0x1.0p-8);            // far below what rounding to BF16 would hide
      expect_close(got.out, want.out, 1.0, allowed);  // rounded once, at the end
      for (std::size_t i = 0; i < want.state.size(); ++i) {
        ASSERT_LE(std::abs(got.state[i] - want.state[i]), allowed) << "chunk " << chunk << ", state " << i;
      }
    }
  }
}

TEST_P(CpuDeltaChunks, NoticeTheLastBitOfAnInput) {
  const DeltaCase right(3);
  DeltaCase wrong(3);
  wrong.qkv.view().row(100)[4 * right.shape.key_dim].bits ^= 1;  // the first head's value in slot 2's last token
  const FloatResult got = chunked(wrong, 64);
  const DeltaResult want = recurrence(right);
  double largest = 0;
  for (std::size_t i = 0; i < want.state.size(); ++i) {
    largest = std::max(largest, std::abs(got.state[i] - want.state[i]));
  }
  EXPECT_GT(largest, chunked_tolerance(right, kFloatRoundoff, 64));
}

TEST_P(CpuDeltaChunks, GiveTheSameBitsForAnyThreadsAndForCutsAtChunkEnds) {
  DeltaCase c(3);
  EXPECT_EQ(chunked(c, 16, 1).state, chunked(c, 16, 3).state);
  EXPECT_EQ(chunked(c, 16, 1).out, chunked(c, 16, 3).out);
  c.segments.resize(1);
  const FloatResult whole = chunked(c, 16);
  FloatResult pieces(c);
  for (std::int64_t at = 0; at < DeltaCase::kLongest; at += 32) {
    c.segments[0] = {.first_row = at,
                     .token_count = std::min<std::int64_t>(32, DeltaCase::kLongest - at),
                     .start = at,
                     .slot = 2,
                     .blocks = {}};
    run(pieces, c, 16);
  }
  EXPECT_EQ(whole.out, pieces.out);
  EXPECT_EQ(whole.state, pieces.state);
}

TEST_P(CpuDeltaChunks, LeaveOtherSlotsAndRowsAlone) {
  DeltaCase c(1);
  c.segments.erase(c.segments.begin() + 1);  // rows 101 to 170, slot 0
  const FloatResult got = chunked(c, 64);
  const std::int64_t size = c.shape.recurrent_elements();
  for (const std::int64_t slot : {0L, DeltaCase::kUnusedSlot}) {
    for (std::int64_t i = slot * size; i < (slot + 1) * size; ++i) {
      ASSERT_EQ(got.state[static_cast<std::size_t>(i)], c.state[static_cast<std::size_t>(i)]);
    }
  }
  for (std::int64_t i = 101 * got.out.cols; i < 171 * got.out.cols; ++i) {
    ASSERT_EQ(got.out.data[static_cast<std::size_t>(i)], Bf16{0x7fc0});
  }
}

INSTANTIATE_TEST_SUITE_P(Simd, CpuDeltaChunks, testing::ValuesIn(cpu::simd_targets()), simd_target_name_of);

}  // namespace
}  // namespace nvllm::test
