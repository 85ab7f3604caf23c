#include "kernels/cuda/nvfp4_matvec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cuda/nvfp4_tiles.h"
#include "support/device.h"
#include "support/random_matrix.h"
#include "tensor/dtype.h"

namespace nvllm::cuda {
namespace {

/// Every code under every scale that a checkpoint may hold, subnormal ones and zero included.
MatrixSource every_scale(std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  MatrixSource out = test::random_matrix(MatrixFormat::kNvfp4, rows, cols, seed);
  auto bytes = std::make_shared<std::vector<std::uint8_t>>();
  test::Random random(seed + 1);
  const std::int64_t blocks = rows * cols / 16;
  for (std::int64_t i = 0; i < rows * cols / 2; ++i) bytes->push_back(static_cast<std::uint8_t>(random.bits()));
  for (std::int64_t i = 0; i < blocks; ++i) bytes->push_back(static_cast<std::uint8_t>(random.bits() % 127));
  out.data = reinterpret_cast<const std::byte*>(bytes->data());
  out.block_scales = out.data + rows * cols / 2;
  out.global_scale = 0.0078125f;
  out.keep_alive = bytes;
  return out;
}

struct Reference {
  std::vector<double> sums, sizes;  // [tokens, rows]; sizes: the sum of absolute products
};

Reference reference_of(const MatrixSource& w, const std::vector<Bf16>& x, std::int64_t tokens) {
  Reference out;
  std::vector<float> row(static_cast<std::size_t>(w.cols));
  out.sums.resize(static_cast<std::size_t>(tokens * w.rows));
  out.sizes = out.sums;
  for (std::int64_t r = 0; r < w.rows; ++r) {
    dequantise_row(w, r, row);
    for (std::int64_t t = 0; t < tokens; ++t) {
      double sum = 0, size = 0;
      for (std::int64_t c = 0; c < w.cols; ++c) {
        const double product = static_cast<double>(row[static_cast<std::size_t>(c)]) * to_float(x[static_cast<std::size_t>(t * w.cols + c)]);
        sum += product;
        size += std::abs(product);
      }
      out.sums[static_cast<std::size_t>(t * w.rows + r)] = sum;
      out.sizes[static_cast<std::size_t>(t * w.rows + r)] = size;
    }
  }
  return out;
}

struct Product {
  MatrixSource source;
  std::int64_t tokens;
  RowOrder order = RowOrder::kPlain;

  std::vector<float> run(MatvecEnd end, std::int64_t out_cols, std::vector<float> start = {}) const {
    const Nvfp4DeviceMatrix w(pack_nvfp4_tiles(source, order));
    const auto x = test::random_rows(tokens * source.cols, 7);
    const std::int64_t count = tokens * out_cols, bytes = end == MatvecEnd::kBf16 || end == MatvecEnd::kSwiglu ? 2 : 4;
    DeviceBuffer x_device(tokens * source.cols * 2), out(count * bytes);
    x_device.upload(x.data(), x_device.bytes());
    out.fill(0xff);  // NaN in either type
    if (!start.empty()) out.upload(start.data(), out.bytes());
    const MatvecCut cut = cut_matvec(source.rows, source.cols, tokens, test::device_facts());
    const MatvecWorkspace workspace(cut.workspace_bytes, w.row_tiles());
    nvfp4_matvec(out.as<void>(), x_device.as<void>(), tokens, w, end, cut, workspace, nullptr);
    std::vector<float> values(static_cast<std::size_t>(count));
    if (bytes == 4) {
      out.download(values.data(), out.bytes());
    } else {
      std::vector<Bf16> rounded(values.size());
      out.download(rounded.data(), out.bytes());
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = to_float(rounded[i]);
    }
    return values;
  }
  Reference reference() const { return reference_of(source, test::random_rows(tokens * source.cols, 7), tokens); }
};

class Nvfp4MatvecOnDevice : public test::OnDevice {};

TEST_F(Nvfp4MatvecOnDevice, AgreesWithDoublePrecisionForEveryShapeAndCountOfTokens) {
  struct Shape {
    std::int64_t rows, cols;
  };
  for (const Shape shape : {Shape{16, 128}, Shape{1, 16}, Shape{33, 48}, Shape{512, 1024}, Shape{1000, 3584}, Shape{48, 17408}}) {
    for (const std::int64_t tokens : {1, 2, 3, 5, 7, 8}) {
      const Product product{every_scale(shape.rows, shape.cols, 3), tokens};
      const auto got = product.run(MatvecEnd::kFloat, shape.rows);
      const Reference want = product.reference();
      for (std::size_t i = 0; i < got.size(); ++i) {
        // Float sums of cols products, in any order: cols / 2 roundings on the way are generous.
        const double bound = want.sizes[i] * std::exp2(-24) * (8 + std::sqrt(static_cast<double>(shape.cols)));
        ASSERT_NEAR(got[i], want.sums[i], bound) << shape.rows << " x " << shape.cols << ", tokens " << tokens << ", at " << i;
      }
    }
  }
}

TEST_F(Nvfp4MatvecOnDevice, GivesTheSameBitsEveryTime) {
  const Product product{every_scale(1000, 5120, 5), 3};
  const auto first = product.run(MatvecEnd::kFloat, 1000);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(product.run(MatvecEnd::kFloat, 1000), first);
}

TEST_F(Nvfp4MatvecOnDevice, AddsToTheResidual) {
  const Product product{every_scale(256, 512, 9), 2};
  const auto start = test::random_floats(512, 11);
  const auto sums = product.run(MatvecEnd::kFloat, 256), added = product.run(MatvecEnd::kAdd, 256, start);
  for (std::size_t i = 0; i < sums.size(); ++i) EXPECT_EQ(added[i], start[i] + sums[i]);
}

TEST_F(Nvfp4MatvecOnDevice, SwigluIsThatOfTheRoundedHalves) {
  const std::int64_t half = 100;
  Product product{test::random_matrix(MatrixFormat::kNvfp4, 2 * half, 512, 13), 5};
  const auto parts = product.run(MatvecEnd::kBf16, 2 * half);
  product.order = RowOrder::kGateUp;
  const auto got = product.run(MatvecEnd::kSwiglu, half);
  for (std::int64_t t = 0; t < 5; ++t) {
    for (std::int64_t r = 0; r < half; ++r) {
      const double gate = parts[static_cast<std::size_t>(t * 2 * half + r)], up = parts[static_cast<std::size_t>(t * 2 * half + half + r)];
      const double want = gate / (1 + std::exp(-gate)) * up;
      EXPECT_NEAR(got[static_cast<std::size_t>(t * half + r)], want, std::abs(want) * 0.0045 + 1e-12);
    }
  }
}

}  // namespace
}  // namespace nvllm::cuda
