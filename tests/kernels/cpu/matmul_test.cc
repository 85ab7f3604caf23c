#include <gtest/gtest.h>

#include "support/kernel_fixture.h"

namespace nvllm::test {
namespace {

class CpuMatmul : public OnEachSimdTarget {};

constexpr MatrixFormat kFormats[] = {MatrixFormat::kBf16, MatrixFormat::kF16, MatrixFormat::kF32,
                                     MatrixFormat::kFp8, MatrixFormat::kNvfp4};

/// F16 and F32 weights are rounded to BF16 once when packed, and the oracle rounds FP8 weights where
/// the kernel does not: up to 2^-8 of each term. Terms are 1/sqrt(K) and their errors independent.
double sum_tolerance(MatrixFormat format, std::int64_t cols) {
  const double float_sum = 0x1.0p-22 * std::sqrt(static_cast<double>(cols));
  const bool exact = format == MatrixFormat::kBf16 || format == MatrixFormat::kNvfp4;
  return (exact ? 1e-6 : 0x1.0p-8) + float_sum;
}

TEST_P(CpuMatmul, AgreesWithTheOracleInEveryFormatAndAwkwardShape) {
  CpuOps ops = make_ops();
  ReferenceOps oracle;
  const struct { std::int64_t rows, cols, tokens; } shapes[] = {
      {4, 128, 1}, {5, 16, 1}, {1, 48, 2}, {130, 384, 3}, {67, 272, 7}, {32, 512, 25}, {9, 144, 64}};
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
    const MatrixSource file = random_matrix(format, 71, 400, 21);
    const auto w = ops.prepare(file), w_alone = alone.prepare(file);
    HostRows x = HostRows::random(64, 400, 22);
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
