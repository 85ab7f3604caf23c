// Every word but matmul against the oracle, on every SIMD target.

#include <gtest/gtest.h>

#include "support/kernel_fixture.h"

namespace nvllm::test {
namespace {

class CpuWords : public OnEachSimdTarget {
 protected:
  CpuOps ops_ = make_ops();
  ReferenceOps oracle_;
};

// Float sums over a few hundred terms of size one; exp of Highway is good to about 1e-6.
constexpr double kSums = 2e-5;

TEST_P(CpuWords, NormsAgreeInBothStylesAndOddWidths) {
  for (const NormStyle style : {NormStyle::kPlain, NormStyle::kZeroCentred}) {
    for (const std::int64_t width : {24, 64, 100, 384}) {
      HostRows x = HostRows::random(5, width, 1), out(5, width);
      ReferenceRows rx(x), want(5, width);
      const std::vector<float> gain = random_floats(width, 2);
      const NormWeights norm{gain, 1e-6f, style};
      ops_.rms_norm(out.view(), x.view(), norm);
      oracle_.rms_norm(want.view(), rx.view(), norm);
      expect_close(out, want, style == NormStyle::kPlain ? 2.1 : 1.1, kSums);
    }
  }
}

TEST_P(CpuWords, HeadAndGatedNormsAgree) {
  HostRows x = HostRows::random(3, 4 * 40, 3), z = HostRows::random(3, 4 * 40, 4), out(3, 4 * 40);
  ReferenceRows rx(x), rz(z), want(3, 4 * 40);
  const std::vector<float> gain = random_floats(40, 5);
  const NormWeights norm{gain, 1e-6f, NormStyle::kPlain};
  ops_.gated_norm(out.view(), x.view(), z.view(), 4, norm);
  oracle_.gated_norm(want.view(), rx.view(), rz.view(), 4, norm);
  expect_close(out, want, 3.1, kSums);
  ops_.head_norm(x.view(), 4, norm);
  oracle_.head_norm(rx.view(), 4, norm);
  expect_close(x, rx, 2.1, kSums);
}

TEST_P(CpuWords, ElementwiseWordsAgree) {
  HostRows a = HostRows::random(3, 70, 6, 8.0f), b = HostRows::random(3, 70, 7, 8.0f), out(3, 70);
  ReferenceRows ra(a), rb(b), want(3, 70);
  ops_.swiglu(out.view(), a.view(), b.view());
  oracle_.swiglu(want.view(), ra.view(), rb.view());
  expect_close(out, want, 2.1, kSums);
  HostRows gated = a;
  ReferenceRows rgated(a);
  ops_.output_gate(gated.view(), b.view());
  oracle_.output_gate(rgated.view(), rb.view());
  expect_close(gated, rgated, 2.1, kSums);
  ops_.add(a.view(), b.view());
  oracle_.add(ra.view(), rb.view());
  expect_close(a, ra, 1.01, 0);
}

TEST_P(CpuWords, SwigluOfExtremeGatesIsFinite) {
  HostRows gate(1, 16), up = HostRows::random(1, 16, 8), out(1, 16);
  for (std::size_t i = 0; i < 16; ++i) gate.data[i] = to_bf16(i % 2 == 0 ? -3e4f : 3e4f);
  ops_.swiglu(out.view(), gate.view(), up.view());
  for (const Bf16 value : out.data) EXPECT_TRUE(std::isfinite(to_float(value)));
}

TEST_P(CpuWords, SplitsQueriesFromGatesPerHead) {
  HostRows both = HostRows::random(2, 3 * 2 * 8, 9), query(2, 24), gate(2, 24);
  ops_.split_gate(query.view(), gate.view(), both.view(), 3);
  EXPECT_EQ(query.data[24 + 8 + 5], both.data[48 + 16 + 5]);
  EXPECT_EQ(gate.data[24 + 8 + 5], both.data[48 + 16 + 8 + 5]);
}

TEST_P(CpuWords, EmbedsRowsExactly) {
  const MatrixSource file = random_matrix(MatrixFormat::kBf16, 50, 40, 10);
  HostRows out(3, 40);
  ops_.embed(out.view(), ops_.prepare(file), std::vector<std::int32_t>{49, 0, 7});
  std::vector<float> row(40);
  dequantise_row(file, 49, row);
  for (std::size_t i = 0; i < 40; ++i) EXPECT_EQ(to_float(out.data[i]), row[i]);
}

/// Two sequences: seven tokens after none, one token after 37, with shuffled block tables.
struct AttentionSetup {
  static constexpr std::int64_t kHeads = 6, kKvHeads = 2, kDim = 40, kBlocks = 8;
  std::vector<std::int32_t> table_a = {5}, table_b = {3, 0, 6};
  std::vector<Segment> segments{{.first_row = 0, .token_count = 7, .start = 0, .slot = 0, .blocks = table_a},
                                {.first_row = 7, .token_count = 1, .start = 37, .slot = 1, .blocks = table_b}};
  AttentionShape shape{.heads = kHeads, .kv_heads = kKvHeads, .head_dim = kDim, .rotary_dims = 20};
  std::vector<Bf16> keys = random_rows(kBlocks * kKvHeads * 16 * kDim, 30);
  std::vector<Bf16> values = random_rows(kBlocks * kKvHeads * 16 * kDim, 31);
  std::vector<double> keys_d, values_d;
  std::vector<float> cosine = std::vector<float>(8 * 10), sine = cosine;
  std::vector<double> cosine_d = std::vector<double>(8 * 10), sine_d = cosine_d;

  AttentionSetup() {
    for (const Bf16 v : keys) keys_d.push_back(to_float(v));
    for (const Bf16 v : values) values_d.push_back(to_float(v));
  }
  AttentionContext<CpuOps> cpu() {
    return {shape, segments, {keys.data(), values.data(), kBlocks, 16, kKvHeads, kDim},
            {View<const float>(cosine.data(), 8, 10), View<const float>(sine.data(), 8, 10)}};
  }
  AttentionContext<ReferenceOps> reference() {
    return {shape, segments, {keys_d.data(), values_d.data(), kBlocks, 16, kKvHeads, kDim},
            {View<const double>(cosine_d.data(), 8, 10), View<const double>(sine_d.data(), 8, 10)}};
  }
};

TEST_P(CpuWords, RopeTurnsByPositionAndLeavesTheRest) {
  AttentionSetup s;
  RotaryFrequencies frequencies;
  for (int j = 0; j < 10; ++j) frequencies.inverse.push_back(std::pow(1e4, -2.0 * j / 20));
  ops_.rotary_angles(View<float>(s.cosine.data(), 8, 10), View<float>(s.sine.data(), 8, 10), s.segments, frequencies);
  oracle_.rotary_angles(View<double>(s.cosine_d.data(), 8, 10), View<double>(s.sine_d.data(), 8, 10), s.segments,
                        frequencies);
  HostRows x = HostRows::random(8, 6 * 40, 32);
  ReferenceRows rx(x);
  const HostRows before = x;
  ops_.rope(x.view(), 6, s.cpu());
  oracle_.rope(rx.view(), 6, s.reference());
  expect_close(x, rx, 1.01, 5 * 0x1.0p-8);  // two rounded products of rounded cosines, each up to one
  EXPECT_EQ(x.data[39], before.data[39]);   // beyond rotary_dims
  EXPECT_EQ(x.data[0], before.data[0]);     // position 0 turns nothing
}

TEST_P(CpuWords, AttentionAgreesOverShuffledBlocks) {
  AttentionSetup s;
  HostRows query = HostRows::random(8, 6 * 40, 33, 4.0f), out(8, 6 * 40);
  ReferenceRows rquery(query), want(8, 6 * 40);
  ops_.paged_attention(out.view(), query.view(), s.cpu());
  oracle_.paged_attention(want.view(), rquery.view(), s.reference());
  expect_close(out, want, 1.01, kSums);
}

TEST_P(CpuWords, AttentionNeverReadsPastItsOwnPosition) {
  AttentionSetup s;
  HostRows query = HostRows::random(8, 6 * 40, 34), clean(8, 6 * 40), poisoned(8, 6 * 40);
  ops_.paged_attention(clean.view(), query.view(), s.cpu());
  // Everything but what the two sequences own: other blocks, and the tails of their last blocks.
  const auto poison = [&](std::int64_t block, std::int64_t from) {
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t i = (block * 2 + h) * 16 * 40 + from * 40; i < (block * 2 + h + 1) * 16 * 40; ++i) {
        s.keys[static_cast<std::size_t>(i)] = s.values[static_cast<std::size_t>(i)] = Bf16{0x7fc0};
      }
    }
  };
  for (const std::int64_t block : {1, 2, 4, 7}) poison(block, 0);
  poison(5, 7);
  poison(6, 6);
  ops_.paged_attention(poisoned.view(), query.view(), s.cpu());
  EXPECT_EQ(clean, poisoned);
}

TEST_P(CpuWords, WritesKeysAndValuesWhereAttentionLooks) {
  AttentionSetup s;
  HostRows keys = HostRows::random(8, 80, 35), values = HostRows::random(8, 80, 36);
  ops_.write_kv(s.cpu(), keys.view(), values.view());
  const auto cache = s.cpu().cache;
  EXPECT_EQ(s.keys[static_cast<std::size_t>(cache.offset(s.table_b, 37, 1) + 3)], keys.data[7 * 80 + 40 + 3]);
  EXPECT_EQ(s.values[static_cast<std::size_t>(cache.offset(s.table_a, 6, 0))], values.data[6 * 80]);
}

/// Geometry with head ratio `ratio` and awkward dims; two sequences on slots 2 and 0.
struct DeltaSetup {
  DeltaShape shape;
  std::vector<Segment> segments{{.first_row = 0, .token_count = 6, .start = 0, .slot = 2, .blocks = {}},
                                {.first_row = 6, .token_count = 2, .start = 9, .slot = 0, .blocks = {}}};
  std::vector<Bf16> conv;
  std::vector<float> recurrent;
  std::vector<double> conv_d, recurrent_d;

  explicit DeltaSetup(std::int64_t ratio)
      : shape{.key_heads = 2, .value_heads = 2 * ratio, .key_dim = 24, .value_dim = 40, .conv_taps = 4} {
    conv = random_rows(3 * shape.conv_elements(), 40);
    recurrent = random_floats(3 * shape.recurrent_elements(), 41);
    for (const Bf16 v : conv) conv_d.push_back(to_float(v));
    recurrent_d.assign(recurrent.begin(), recurrent.end());
  }
  DeltaContext<CpuOps> cpu() { return {shape, segments, {conv.data(), recurrent.data(), 3}}; }
  DeltaContext<ReferenceOps> reference() { return {shape, segments, {conv_d.data(), recurrent_d.data(), 3}}; }
};

TEST_P(CpuWords, ConvolutionAgreesAndAdvancesItsState) {
  DeltaSetup s(3);
  const std::int64_t channels = s.shape.channels();
  HostRows x = HostRows::random(8, channels, 42), out(8, channels);
  ReferenceRows rx(x), want(8, channels);
  const std::vector<float> weights = random_floats(4 * channels, 43);
  ops_.causal_conv(out.view(), x.view(), weights, s.cpu());
  oracle_.causal_conv(want.view(), rx.view(), weights, s.reference());
  expect_close(out, want, 2.3, kSums);
  for (const std::int64_t slot : {0, 2}) {
    for (std::int64_t i = slot * s.shape.conv_elements(); i < (slot + 1) * s.shape.conv_elements(); ++i) {
      ASSERT_EQ(to_float(s.conv[static_cast<std::size_t>(i)]), s.conv_d[static_cast<std::size_t>(i)]);
    }
  }
}

TEST_P(CpuWords, DeltaRuleAgreesForEqualAndGroupedHeads) {
  for (const std::int64_t ratio : {1, 3}) {
    DeltaSetup s(ratio);
    const std::int64_t heads = s.shape.value_heads;
    HostRows qkv = HostRows::random(8, s.shape.channels(), 44), b = HostRows::random(8, heads, 45, 3.0f);
    HostRows a = HostRows::random(8, heads, 46, 3.0f), out(8, heads * 40);
    ReferenceRows rqkv(qkv), rb(b), ra(a), want(8, heads * 40);
    const std::vector<float> a_log = random_floats(heads, 47), dt_bias = random_floats(heads, 48);
    ops_.delta_rule(out.view(), qkv.view(), b.view(), a.view(), a_log, dt_bias, s.cpu());
    oracle_.delta_rule(want.view(), rqkv.view(), rb.view(), ra.view(), a_log, dt_bias, s.reference());
    expect_close(out, want, 1.01, 4 * 0x1.0p-8);  // beta is rounded to BF16 at every token
    for (std::size_t i = 0; i < s.recurrent.size(); ++i) {
      ASSERT_NEAR(s.recurrent[i], s.recurrent_d[i], 4 * 0x1.0p-8);
    }
  }
}

TEST_P(CpuWords, FreshSequencesIgnoreWhatTheirSlotHeld) {
  for (const float poison : {std::nanf(""), 3e38f}) {
    DeltaSetup clean(1), dirty(1);
    std::fill_n(dirty.conv.begin() + 2 * dirty.shape.conv_elements(), dirty.shape.conv_elements(), to_bf16(poison));
    std::fill_n(dirty.recurrent.begin() + 2 * dirty.shape.recurrent_elements(), dirty.shape.recurrent_elements(), poison);
    const std::int64_t channels = clean.shape.channels();
    HostRows x = HostRows::random(8, channels, 49), b = HostRows::random(8, 2, 50);
    const std::vector<float> weights = random_floats(4 * channels, 51), heads = random_floats(2, 52);
    const auto run = [&](DeltaSetup& s) {
      HostRows conv(8, channels), out(8, 80);
      ops_.causal_conv(conv.view(), x.view(), weights, s.cpu());
      ops_.delta_rule(out.view(), conv.view(), b.view(), b.view(), heads, heads, s.cpu());
      return out;
    };
    EXPECT_EQ(run(clean), run(dirty));
    EXPECT_EQ(clean.recurrent, dirty.recurrent);
  }
}

TEST_P(CpuWords, RecurrenceDoesNotDependOnHowTokensAreCutIntoSteps) {
  DeltaSetup whole(3), pieces(3);
  const std::int64_t channels = whole.shape.channels(), heads = whole.shape.value_heads;
  HostRows x = HostRows::random(8, channels, 53), b = HostRows::random(8, heads, 54);
  const std::vector<float> weights = random_floats(4 * channels, 55), per_head = random_floats(heads, 56);
  const auto run = [&](DeltaSetup& s, std::vector<std::int64_t> cuts, HostRows& out) {
    HostRows conv(8, channels);
    std::int64_t at = 0;
    for (const std::int64_t count : cuts) {
      s.segments = {{.first_row = 0, .token_count = count, .start = at, .slot = 1, .blocks = {}}};
      const auto rows = [&](HostRows& h) { return View<Bf16>(h.view().row(at), count, h.cols); };
      ops_.causal_conv(rows(conv), rows(x), weights, s.cpu());
      ops_.delta_rule(rows(out), rows(conv), rows(b), rows(b), per_head, per_head, s.cpu());
      at += count;
    }
  };
  HostRows one(8, heads * 40), many(8, heads * 40);
  run(whole, {8}, one);
  run(pieces, {1, 2, 1, 4}, many);
  EXPECT_EQ(one, many);
}

INSTANTIATE_TEST_SUITE_P(Simd, CpuWords, testing::ValuesIn(cpu::simd_targets()), simd_target_name_of);

}  // namespace
}  // namespace nvllm::test
