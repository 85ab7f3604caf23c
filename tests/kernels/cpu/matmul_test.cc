#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "support/kernel_fixture.h"

namespace nvllm::test {
namespace {

class CpuMatmul : public OnEachSimdTarget {};

constexpr MatrixFormat kFormats[] = {MatrixFormat::kBf16, MatrixFormat::kF16, MatrixFormat::kF32,
                                     MatrixFormat::kFp8, MatrixFormat::kNvfp4};

/// F16 and F32 weights are rounded to BF16 once when packed, and the oracle rounds FP8 weights where
/// the kernel does not: up to 2^-8 of each term. NVFP4 kernels round activations to 2^-15 of their
/// block's largest (decision 0003). Terms are 1/sqrt(K) and their errors independent.
double sum_tolerance(MatrixFormat format, std::int64_t cols) {
  const double float_sum = 0x1.0p-22 * std::sqrt(static_cast<double>(cols));
  if (format == MatrixFormat::kBf16) return 1e-6 + float_sum;
  return (format == MatrixFormat::kNvfp4 ? 0x1.0p-15 : 0x1.0p-8) + float_sum;
}

TEST_P(CpuMatmul, AgreesWithTheOracleInEveryFormatAndAwkwardShape) {
  CpuOps ops = make_ops();
  ReferenceOps oracle;
  const struct { std::int64_t rows, cols, tokens; } shapes[] = {
      {4, 128, 1}, {5, 16, 1}, {1, 48, 2}, {130, 384, 3}, {67, 272, 7}, {32, 512, 25}, {9, 144, 64}, {21, 1104, 26}};
  for (const MatrixFormat format : kFormats) {
    for (const auto& s : shapes) {
      const MatrixSource file = random_matrix(format, s.rows, s.cols, 11);
      HostRows x = HostRows::random(s.tokens, s.cols, 12), out(s.tokens, s.rows);
      ReferenceRows rx(x), want(s.tokens, s.rows);
      const std::vector<float> bias = random_floats(s.rows, 13);
      ops.matmul(out.view(), x.view(), ops.prepare(file), bias);
      oracle.matmul(want.view(), rx.view(), oracle.prepare(file), bias);
      SCOPED_TRACE(testing::Message() << "format " << static_cast<int>(format) << " rows " << s.rows << " cols "
                                      << s.cols << " tokens " << s.tokens);
      expect_close(out, want, 1.01, sum_tolerance(format, s.cols));
    }
  }
}

TEST_P(CpuMatmul, GivesARowTheSameBitsWhateverItsCompany) {
  CpuOps ops = make_ops(2), alone = make_ops(1);
  for (const MatrixFormat format : kFormats) {
    const MatrixSource file = random_matrix(format, 71, 1104, 21);
    const auto w = ops.prepare(file), w_alone = alone.prepare(file);
    HostRows x = HostRows::random(64, 1104, 22);
    HostRows together(64, 71);
    ops.matmul(together.view(), x.view(), w, {});
    for (const std::int64_t batch : {1, 2, 3, 4, 17, 24, 25}) {
      HostRows part(batch, 71);
      alone.matmul(part.view(), x.view().first(batch), w_alone, {});
      for (std::int64_t i = 0; i < batch * 71; ++i) {
        ASSERT_EQ(part.data[static_cast<std::size_t>(i)], together.data[static_cast<std::size_t>(i)])
            << "format " << static_cast<int>(format) << " batch " << batch << " element " << i;
      }
    }
  }
}

TEST_P(CpuMatmul, UsesExactNvfp4WeightsWhenTheGlobalScaleIsAPowerOfTwo) {
  // With x = e_k the product is the weight itself: one rounding, and none where it fits BF16.
  CpuOps ops = make_ops();
  const MatrixSource file = random_matrix(MatrixFormat::kNvfp4, 8, 256, 31);
  const auto w = ops.prepare(file);
  std::vector<float> row(256);
  for (std::int64_t k = 0; k < 256; ++k) {
    HostRows x(1, 256), out(1, 8);
    x.data.assign(256, Bf16{0});
    x.data[static_cast<std::size_t>(k)] = to_bf16(1.0f);
    ops.matmul(out.view(), x.view(), w, {});
    for (std::int64_t n = 0; n < 8; ++n) {
      dequantise_row(file, n, row);
      ASSERT_EQ(to_float(out.data[static_cast<std::size_t>(n)]), row[static_cast<std::size_t>(k)]);
    }
  }
}

TEST_P(CpuMatmul, HoldsEveryFp8WeightThereIs) {
  // One row of all 254 codes that are numbers, subnormals and both zeros included.
  auto bytes = std::make_shared<std::vector<std::byte>>();
  for (int code = 0; code < 256; ++code) {
    if ((code & 0x7f) != 0x7f) bytes->push_back(static_cast<std::byte>(code));
  }
  MatrixSource file;
  file.rows = 1;
  file.cols = static_cast<std::int64_t>(bytes->size());
  file.format = MatrixFormat::kFp8;
  file.data = bytes->data();
  file.scales = {0.5f};
  file.keep_alive = bytes;
  CpuOps ops = make_ops();
  const auto w = ops.prepare(file);
  for (const std::int64_t tokens : {1, 3, 7}) {
    std::vector<float> out(static_cast<std::size_t>(tokens));
    for (std::int64_t k = 0; k < file.cols; ++k) {
      HostRows x(tokens, file.cols);
      x.data.assign(x.data.size(), Bf16{0});
      for (std::int64_t t = 0; t < tokens; ++t) x.data[static_cast<std::size_t>(t * file.cols + k)] = to_bf16(3.0f);
      ops.logits(View<float>(out.data(), tokens, 1), x.view(), w);
      const auto code = static_cast<std::uint8_t>((*bytes)[static_cast<std::size_t>(k)]);
      for (const float value : out) ASSERT_EQ(value, 1.5f * e4m3_to_float(code)) << "code " << int{code};
    }
  }
}

TEST_P(CpuMatmul, TakesABf16MatrixOverWhereItNeedsNoPadding) {
  for (const std::int64_t cols : {64, 72}) {  // 72 is padded to 96
    const MatrixSource made = random_matrix(MatrixFormat::kBf16, 10, cols, 95);
    auto stored = std::make_shared<Buffer>(Buffer::host(static_cast<std::size_t>(10 * cols * 2)));
    std::memcpy(stored->as<std::byte>(), made.data, stored->bytes());
    const std::weak_ptr<Buffer> alive = stored;
    MatrixSource file = made;
    file.data = stored->as<std::byte>();
    file.keep_alive = stored;
    CpuOps ops = make_ops();
    auto w = std::make_unique<cpu::PackedMatrix>(ops.prepare(file));
    EXPECT_EQ(w->codes.as<std::byte>() == file.data, cols == 64);
    EXPECT_EQ(w->bytes(), CpuOps::matrix_bytes(file));
    HostRows x = HostRows::random(3, cols, 96), out(3, 10), want(3, 10);
    ops.matmul(want.view(), x.view(), ops.prepare(made), {});
    file = {};
    stored.reset();
    EXPECT_EQ(alive.expired(), cols != 64);
    ops.matmul(out.view(), x.view(), *w, {});
    EXPECT_EQ(out.data.size(), want.data.size());
    for (std::size_t i = 0; i < out.data.size(); ++i) EXPECT_EQ(out.data[i], want.data[i]) << i;
    w.reset();
    EXPECT_TRUE(alive.expired());
  }
}

TEST_P(CpuMatmul, HoldsEveryNvfp4WeightThereIs) {
  // Row s has block scale code s and all sixteen codes: 127 x 16 products, subnormal scales included.
  constexpr std::int64_t kScales = 127;
  auto bytes = std::make_shared<std::vector<std::byte>>();
  for (std::int64_t s = 0; s < kScales; ++s) {
    for (int pair = 0; pair < 8; ++pair) bytes->push_back(static_cast<std::byte>(2 * pair | (2 * pair + 1) << 4));
  }
  for (std::int64_t s = 0; s < kScales; ++s) bytes->push_back(static_cast<std::byte>(s));
  MatrixSource file;
  file.rows = kScales;
  file.cols = 16;
  file.format = MatrixFormat::kNvfp4;
  file.data = bytes->data();
  file.block_scales = bytes->data() + kScales * 8;
  file.global_scale = 1.0f;
  file.keep_alive = bytes;
  CpuOps ops = make_ops();
  const auto w = ops.prepare(file);
  for (const std::int64_t tokens : {1, 2, 16}) {
    HostRows x(tokens, 16);
    std::vector<float> out(static_cast<std::size_t>(tokens * kScales), std::nanf(""));
    for (std::int64_t k = 0; k < 16; ++k) {
      x.data.assign(static_cast<std::size_t>(tokens * 16), Bf16{0});
      for (std::int64_t t = 0; t < tokens; ++t) x.data[static_cast<std::size_t>(t * 16 + k)] = to_bf16(1.0f);
      ops.logits(View<float>(out.data(), tokens, kScales), x.view(), w);
      for (std::int64_t i = 0; i < tokens * kScales; ++i) {
        const auto scale = static_cast<std::uint8_t>(i % kScales);
        ASSERT_EQ(out[static_cast<std::size_t>(i)], e2m1_to_float(static_cast<std::uint8_t>(k)) * e4m3_to_float(scale))
            << "scale " << i % kScales << " code " << k << " of " << tokens;
      }
    }
  }
}

/// What decision 0003 allows for row n: each activation is off by at most 2^-15 of its block's
/// largest power of two, and sums are float.
double nvfp4_bound(const std::vector<float>& weights, const Bf16* x) {
  double bound = 0;
  for (std::size_t begin = 0; begin < weights.size(); begin += 16) {
    double largest = 0, weight_sum = 0, product_sum = 0;
    for (std::size_t k = begin; k < begin + 16; ++k) {
      largest = std::max(largest, std::abs(static_cast<double>(to_float(x[k]))));
      weight_sum += std::abs(weights[k]);
      product_sum += std::abs(weights[k] * static_cast<double>(to_float(x[k])));
    }
    bound += largest * weight_sum * 0x1.0p-15 + product_sum * 0x1.0p-20;
  }
  return bound;
}

TEST_P(CpuMatmul, KeepsNvfp4SumsWithinTheBoundOfABlocksLargestActivation) {
  constexpr std::int64_t kRows = 37, kCols = 400, kTokens = 5;
  CpuOps ops = make_ops();
  const MatrixSource file = random_matrix(MatrixFormat::kNvfp4, kRows, kCols, 71);
  HostRows x = HostRows::random(kTokens, kCols, 72);
  // From 2^-120 to 2^100 by token, with an activation a thousand times its neighbours here and there,
  // blocks of zeros, and a largest one just below a power of two.
  const float sizes[kTokens] = {1.0f, 0x1.0p-120f, 0x1.0p100f, 1e-4f, 3e4f};
  for (std::int64_t t = 0; t < kTokens; ++t) {
    Bf16* row = x.data.data() + t * kCols;
    for (std::int64_t k = 0; k < kCols; ++k) {
      const float boost = k % 37 == 5 ? 1000.0f : 1.0f;
      row[k] = to_bf16(k / 16 % 5 == 3 ? 0.0f : to_float(row[k]) * sizes[t] * boost);
    }
    row[17] = to_bf16(255 * 0x1.0p-7f * sizes[t]);
  }
  std::vector<float> got(kTokens * kRows, std::numeric_limits<float>::quiet_NaN()), weights(kCols);
  ops.logits(View<float>(got.data(), kTokens, kRows), x.view(), ops.prepare(file));
  for (std::int64_t n = 0; n < kRows; ++n) {
    dequantise_row(file, n, weights);
    for (std::int64_t t = 0; t < kTokens; ++t) {
      const Bf16* row = x.data.data() + t * kCols;
      double want = 0;
      for (std::int64_t k = 0; k < kCols; ++k) want += static_cast<double>(weights[static_cast<std::size_t>(k)]) * to_float(row[k]);
      // Below 2^-114 an activation is lost: what is left of the second row is nothing but rounding.
      const double lost = 0x1.0p-114 * kCols;
      ASSERT_NEAR(got[static_cast<std::size_t>(t * kRows + n)], want, nvfp4_bound(weights, row) + lost)
          << "row " << n << " token " << t;
    }
  }
}

TEST_P(CpuMatmul, KeepsSmallActivationsBesideLargeOnesAsFarAsTheTargetAllows) {
  // One activation of each block 2^14 times its neighbours: as 16-bit integers the neighbours may be
  // lost, as far as decision 0003 says; the BF16 dot keeps them whole (decision 0004).
  constexpr std::int64_t kRows = 20, kCols = 160;
  CpuOps ops = make_ops();
  const MatrixSource file = random_matrix(MatrixFormat::kNvfp4, kRows, kCols, 91);
  HostRows x = HostRows::random(1, kCols, 92);
  for (std::int64_t k = 3; k < kCols; k += 16) x.data[static_cast<std::size_t>(k)] = to_bf16(k % 32 == 3 ? 16384.0f : -16384.0f);
  HostRows small = x;
  for (std::int64_t k = 0; k < kCols; ++k) {
    if (k % 16 != 3) small.data[static_cast<std::size_t>(k)] = Bf16{0};
  }
  const auto w = ops.prepare(file);
  std::vector<float> got(kRows), without(kRows), weights(kCols);
  ops.logits(View<float>(got.data(), 1, kRows), x.view(), w);
  ops.logits(View<float>(without.data(), 1, kRows), small.view(), w);
  for (std::int64_t n = 0; n < kRows; ++n) {
    dequantise_row(file, n, weights);
    double want = 0, size = 0;
    for (std::int64_t k = 0; k < kCols; ++k) {
      const double product = static_cast<double>(weights[static_cast<std::size_t>(k)]) * to_float(x.data[static_cast<std::size_t>(k)]);
      want += product;
      size += std::abs(product);
    }
    const bool exact = cpu::simd_target().bf16_dot;
    EXPECT_NEAR(got[static_cast<std::size_t>(n)], want, exact ? size * 0x1.0p-22 : nvfp4_bound(weights, x.data.data())) << n;
    if (exact) {
      EXPECT_NE(got[static_cast<std::size_t>(n)], without[static_cast<std::size_t>(n)]) << n;
    }
  }
}

TEST_P(CpuMatmul, LetsOneNonFiniteActivationSpoilItsOwnRowOnly) {
  CpuOps ops = make_ops();
  const MatrixSource file = random_matrix(MatrixFormat::kNvfp4, 12, 256, 81);
  const auto w = ops.prepare(file);
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    HostRows x = HostRows::random(3, 256, 82);
    std::vector<float> clean(3 * 12), spoilt(3 * 12);
    ops.logits(View<float>(clean.data(), 3, 12), x.view(), w);
    x.data[256 + 100] = to_bf16(bad);
    ops.logits(View<float>(spoilt.data(), 3, 12), x.view(), w);
    for (std::size_t i = 0; i < clean.size(); ++i) {
      if (i / 12 == 1) {
        ASSERT_FALSE(std::isfinite(spoilt[i])) << i;
      } else {
        ASSERT_EQ(spoilt[i], clean[i]) << i;
      }
    }
  }
}

TEST_P(CpuMatmul, StaysWithinOneWeightRoundingForAnyGlobalScale) {
  CpuOps ops = make_ops();
  ReferenceOps oracle;
  const MatrixSource file = random_matrix(MatrixFormat::kNvfp4, 40, 512, 41, 1.86011908e-4f);
  HostRows x = HostRows::random(5, 512, 42), out(5, 40);
  ReferenceRows rx(x), want(5, 40);
  ops.matmul(out.view(), x.view(), ops.prepare(file), {});
  oracle.matmul(want.view(), rx.view(), oracle.prepare(file), {});
  // The oracle rounds each weight to BF16; the kernel does not: up to 2^-8 of every term.
  expect_close(out, want, 1.01, 512 * 0x1.0p-8 * 0.02);
}

TEST_P(CpuMatmul, ReadsFp8ScalesPerRowAndPerBlock) {
  CpuOps ops = make_ops();
  ReferenceOps oracle;
  for (const Fp8Scales layout : {Fp8Scales::kPerRow, Fp8Scales::kBlock128}) {
    MatrixSource file = random_matrix(MatrixFormat::kFp8, 140, 300, 51);
    file.fp8_scales = layout;
    file.scales = random_floats(layout == Fp8Scales::kPerRow ? 140 : 2 * 3, 52, 1e-3f);
    HostRows x = HostRows::random(3, 300, 53), out(3, 140);
    ReferenceRows rx(x), want(3, 140);
    ops.matmul(out.view(), x.view(), ops.prepare(file), {});
    oracle.matmul(want.view(), rx.view(), oracle.prepare(file), {});
    expect_close(out, want, 1.01, 300 * 0x1.0p-8 * 0.1);
  }
}

TEST_P(CpuMatmul, GivesFloatLogitsWithoutRounding) {
  CpuOps ops = make_ops();
  ReferenceOps oracle;
  const MatrixSource file = random_matrix(MatrixFormat::kBf16, 333, 384, 61);
  HostRows x = HostRows::random(2, 384, 62);
  ReferenceRows rx(x);
  std::vector<float> got(2 * 333), want(2 * 333);
  ops.logits(View<float>(got.data(), 2, 333), x.view(), ops.prepare(file));
  oracle.logits(View<float>(want.data(), 2, 333), rx.view(), oracle.prepare(file));
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Simd, CpuMatmul, testing::ValuesIn(cpu::simd_targets()), simd_target_name_of);

}  // namespace
}  // namespace nvllm::test
