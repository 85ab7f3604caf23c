#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cuda/dense_matrix.h"
#include "support/device.h"
#include "support/random_matrix.h"
#include "tensor/dtype.h"

namespace nvllm::cuda {
namespace {

std::int64_t up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit * unit; }

struct Product {
  MatrixSource source;
  std::int64_t tokens;

  [[nodiscard]] std::int64_t x_stride() const { return up(source.cols, 8) + 8; }
  /// Rows of x, with NaN between them.
  [[nodiscard]] std::vector<Bf16> x() const {
    const auto values = test::random_rows(64 * source.cols, 7);
    std::vector<Bf16> out(static_cast<std::size_t>(tokens * x_stride()), Bf16{0x7fff});
    for (std::int64_t t = 0; t < tokens; ++t) {
      std::memcpy(out.data() + t * x_stride(), values.data() + t * source.cols, static_cast<std::size_t>(source.cols * 2));
    }
    return out;
  }
  [[nodiscard]] std::vector<float> run(DenseEnd end, const std::vector<float>& bias = {}, const std::vector<Bf16>& start = {}) const {
    const DenseDeviceMatrix w(source);
    const auto rows_of_x = x();
    const std::int64_t count = tokens * source.rows;
    DeviceBuffer x_device(static_cast<std::int64_t>(rows_of_x.size()) * 2), out(count * (end == DenseEnd::kFloat ? 4 : 2));
    DeviceBuffer bias_device(static_cast<std::int64_t>(bias.size()) * 4);
    x_device.upload(rows_of_x.data(), x_device.bytes());
    bias_device.upload(bias.data(), bias_device.bytes());
    out.fill(0xff);
    if (!start.empty()) out.upload(start.data(), out.bytes());
    dense_matvec(out.as<void>(), source.rows, x_device.as<void>(), x_stride(), tokens, w, end, nullptr, bias_device.as<float>());
    std::vector<float> values(static_cast<std::size_t>(count));
    if (end == DenseEnd::kFloat) {
      out.download(values.data(), out.bytes());
    } else {
      std::vector<Bf16> rounded(values.size());
      out.download(rounded.data(), out.bytes());
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = to_float(rounded[i]);
    }
    return values;
  }
};

class DenseMatvecOnDevice : public test::OnDevice {};

TEST_F(DenseMatvecOnDevice, AgreesWithDoublePrecisionForEveryFormatShapeAndCountOfTokens) {
  struct Shape {
    std::int64_t rows, cols;
  };
  for (const MatrixFormat format : {MatrixFormat::kBf16, MatrixFormat::kF16, MatrixFormat::kF32, MatrixFormat::kFp8}) {
    for (const Shape shape : {Shape{16, 128}, Shape{1, 5}, Shape{33, 48}, Shape{96, 1331}, Shape{1030, 272}}) {
      const MatrixSource m = test::random_matrix(format, shape.rows, shape.cols, 3);
      for (const std::int64_t tokens : {1, 8, 9, 31, 32, 33, 64}) {
        const Product product{m, tokens};
        const auto got = product.run(DenseEnd::kFloat);
        const auto x = product.x();
        std::vector<float> row(static_cast<std::size_t>(m.cols));
        for (std::int64_t r = 0; r < m.rows; ++r) {
          dequantise_row(m, r, row);
          for (std::int64_t t = 0; t < tokens; ++t) {
            double sum = 0, size = 0;
            for (std::int64_t c = 0; c < m.cols; ++c) {
              const double weight = round_to_bf16(row[static_cast<std::size_t>(c)]);
              const double term = weight * to_float(x[static_cast<std::size_t>(t * product.x_stride() + c)]);
              sum += term;
              size += std::abs(term);
            }
            const double bound = size * std::exp2(-24) * (8 + std::sqrt(static_cast<double>(m.cols)));
            ASSERT_NEAR(got[static_cast<std::size_t>(t * m.rows + r)], sum, bound)
                << shape.rows << " x " << shape.cols << ", tokens " << tokens << ", row " << r << ", token " << t;
          }
        }
      }
    }
  }
}

TEST_F(DenseMatvecOnDevice, ARowsBitsDoNotDependOnItsBatch) {
  for (const MatrixFormat format : {MatrixFormat::kBf16, MatrixFormat::kFp8}) {
    for (const std::int64_t rows : {200, 1100}) {
      const MatrixSource m = test::random_matrix(format, rows, 2560, 5);
      const auto all = Product{m, 64}.run(DenseEnd::kFloat);
      for (const std::int64_t tokens : {1, 7, 8, 9, 40}) {
        const auto some = Product{m, tokens}.run(DenseEnd::kFloat);
        ASSERT_EQ(some, std::vector<float>(all.begin(), all.begin() + tokens * rows)) << tokens;
      }
    }
  }
}

TEST_F(DenseMatvecOnDevice, TwoAtOnceGiveWhatEachGivesAlone) {
  for (const MatrixFormat format : {MatrixFormat::kBf16, MatrixFormat::kFp8}) {
    const Product first{test::random_matrix(format, 48, 640, 21), 33}, second{test::random_matrix(format, 48, 640, 22), 33};
    const DenseDeviceMatrix w[] = {DenseDeviceMatrix(first.source), DenseDeviceMatrix(second.source)};
    const auto x = first.x();
    DeviceBuffer x_device(static_cast<std::int64_t>(x.size()) * 2), out(2 * 33 * 48 * 2);
    x_device.upload(x.data(), x_device.bytes());
    out.fill(0xff);
    dense_matvec_of_two({out.as<Bf16>(), 96, w[0].view()}, {out.as<Bf16>() + 48, 96, w[1].view()}, x_device.as<void>(), first.x_stride(), 33,
                        nullptr);
    std::vector<Bf16> got(33 * 96);
    out.download(got.data(), out.bytes());
    const auto of_first = first.run(DenseEnd::kBf16), of_second = second.run(DenseEnd::kBf16);
    for (std::size_t t = 0; t < 33; ++t) {
      for (std::size_t r = 0; r < 48; ++r) {
        ASSERT_EQ(to_float(got[t * 96 + r]), of_first[t * 48 + r]);
        ASSERT_EQ(to_float(got[t * 96 + 48 + r]), of_second[t * 48 + r]);
      }
    }
  }
}

TEST_F(DenseMatvecOnDevice, EndsRoundTheSumAndThenTheResidual) {
  const Product product{test::random_matrix(MatrixFormat::kBf16, 100, 512, 9), 12};
  const auto start = test::random_rows(1200, 11);
  const auto bias = test::random_floats(100, 15);
  const auto sums = product.run(DenseEnd::kFloat), rounded = product.run(DenseEnd::kBf16), added = product.run(DenseEnd::kAdd, {}, start);
  const auto biased = product.run(DenseEnd::kFloat, bias);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    ASSERT_EQ(rounded[i], round_to_bf16(sums[i]));
    ASSERT_EQ(added[i], round_to_bf16(to_float(start[i]) + round_to_bf16(sums[i])));
    ASSERT_EQ(biased[i], sums[i] + bias[i % 100]);
  }
}

}  // namespace
}  // namespace nvllm::cuda
