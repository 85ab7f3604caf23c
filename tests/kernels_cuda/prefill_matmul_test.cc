#include "kernels/cuda/prefill_matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <tuple>
#include <vector>

#include "support/device.h"
#include "support/random_matrix.h"
#include "tensor/dtype.h"

namespace nvllm::cuda {
namespace {

/// Every code under every scale that a checkpoint may hold.
MatrixSource every_scale(std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  MatrixSource out = test::random_matrix(MatrixFormat::kNvfp4, rows, cols, seed);
  auto bytes = std::make_shared<std::vector<std::uint8_t>>();
  test::Random random(seed + 1);
  for (std::int64_t i = 0; i < rows * cols / 2; ++i) bytes->push_back(static_cast<std::uint8_t>(random.bits()));
  for (std::int64_t i = 0; i < rows * cols / 16; ++i) bytes->push_back(static_cast<std::uint8_t>(random.bits() % 127));
  out.data = reinterpret_cast<const std::byte*>(bytes->data());
  out.block_scales = out.data + rows * cols / 2;
  out.global_scale = 0.00731f;  // not a power of two, so that the products round
  out.keep_alive = bytes;
  return out;
}

std::vector<Bf16> download(const DeviceBuffer& from) {
  std::vector<Bf16> out(static_cast<std::size_t>(from.bytes() / 2));
  from.download(out.data(), from.bytes());
  return out;
}

/// Row `row` of the matrix is row `at` of the slab.
void expect_row(const MatrixSource& m, std::int64_t row, const std::vector<Bf16>& slab, std::int64_t at, std::int64_t stride) {
  std::vector<float> want(static_cast<std::size_t>(m.cols));
  dequantise_row(m, row, want);
  for (std::int64_t c = 0; c < stride; ++c) {
    const float value = to_float(slab[static_cast<std::size_t>(at * stride + c)]);
    ASSERT_EQ(value, c < m.cols ? want[static_cast<std::size_t>(c)] : 0.0f) << "row " << row << ", column " << c;
  }
}

class DequantiseOnDevice : public test::OnDevice {};

TEST_F(DequantiseOnDevice, GivesTheNumbersThatTheFormatDefines) {
  const MatrixSource m = every_scale(200, 272, 3);
  const Nvfp4DeviceMatrix w(pack_nvfp4_tiles({&m, 1}, RowOrder::kPlain));
  const std::int64_t stride = w.col_tiles() * kTileCols;
  DeviceBuffer out((200 - 64) * stride * 2);
  out.fill(0xff);
  dequantise(out.as<void>(), stride, w, {64, 200}, nullptr);
  const auto slab = download(out);
  for (std::int64_t row = 64; row < 200; ++row) expect_row(m, row, slab, row - 64, stride);
}

TEST_F(DequantiseOnDevice, PutsGateRowsBeforeUpRows) {
  MatrixSource both[] = {every_scale(100, 256, 5), every_scale(100, 256, 6)};
  both[1].global_scale *= 3;
  const Nvfp4DeviceMatrix w(pack_nvfp4_tiles(both, RowOrder::kGateUp));
  DeviceBuffer out(2 * 68 * 256 * 2);
  out.fill(0xff);
  dequantise(out.as<void>(), 256, w, {32, 100}, nullptr);
  const auto slab = download(out);
  for (std::int64_t pair = 32; pair < 100; ++pair) {
    expect_row(both[0], pair, slab, pair - 32, 256);
    expect_row(both[1], pair, slab, 68 + pair - 32, 256);
  }
}

TEST_F(DequantiseOnDevice, TakesEveryKindOfFp8Scale) {
  for (const Fp8Scales kind : {Fp8Scales::kPerTensor, Fp8Scales::kPerRow, Fp8Scales::kBlock128}) {
    MatrixSource m = test::random_matrix(MatrixFormat::kFp8, 150, 272, 7);
    m.fp8_scales = kind;
    m.scales = test::random_floats(kind == Fp8Scales::kPerTensor ? 1 : kind == Fp8Scales::kPerRow ? 150 : 2 * 3, 9);
    const DenseDeviceMatrix w(m);
    DeviceBuffer out(150 * w.view().stride * 2);
    out.fill(0xff);
    dequantise(out.as<void>(), w, nullptr);
    const auto slab = download(out);
    for (std::int64_t row = 0; row < 150; ++row) expect_row(m, row, slab, row, w.view().stride);
  }
}

class PrefillMatmulOnDevice : public test::OnDevice {
 protected:
  /// Products of one matrix, in several slabs; `multiply(out, x, scratch)` starts one.
  template <class Multiply>
  void expect_product(const MatrixSource& m, std::int64_t tokens, ProductType type, const Multiply& multiply) {
    const auto x = test::random_rows(tokens * m.cols, 7);
    DeviceBuffer x_device(tokens * m.cols * 2), out(tokens * m.rows * (type == ProductType::kBf16 ? 2 : 4));
    x_device.upload(x.data(), x_device.bytes());
    out.fill(0xff);
    PrefillScratch scratch(false, 64 * 1024 * 2);
    multiply(out.as<void>(), x_device.as<void>(), scratch);
    std::vector<float> got(static_cast<std::size_t>(tokens * m.rows)), row(static_cast<std::size_t>(m.cols));
    if (type == ProductType::kFloat) {
      out.download(got.data(), out.bytes());
    } else {
      const auto rounded = download(out);
      for (std::size_t i = 0; i < got.size(); ++i) got[i] = to_float(rounded[i]);
    }
    const double rounding = type == ProductType::kBf16 ? std::exp2(-8) : 0;
    for (std::int64_t r = 0; r < m.rows; ++r) {
      dequantise_row(m, r, row);
      for (std::int64_t t = 0; t < tokens; ++t) {
        double sum = 0, size = 0;
        for (std::int64_t c = 0; c < m.cols; ++c) {
          const double product = static_cast<double>(row[static_cast<std::size_t>(c)]) * to_float(x[static_cast<std::size_t>(t * m.cols + c)]);
          sum += product;
          size += std::abs(product);
        }
        const double bound = size * std::exp2(-22) * std::sqrt(static_cast<double>(m.cols)) + std::abs(sum) * rounding;
        ASSERT_NEAR(got[static_cast<std::size_t>(t * m.rows + r)], sum, bound) << "row " << r << ", token " << t;
      }
    }
  }
};

TEST_F(PrefillMatmulOnDevice, AgreesWithDoublePrecisionForNvfp4) {
  const MatrixSource both[] = {every_scale(224, 512, 11), every_scale(224, 512, 12)};
  const Nvfp4DeviceMatrix alone(pack_nvfp4_tiles({both, 1}, RowOrder::kPlain)), together(pack_nvfp4_tiles(both, RowOrder::kGateUp));
  expect_product(both[0], 130, ProductType::kBf16, [&](void* out, const void* x, PrefillScratch& scratch) {
    const MatvecTarget to{out, 224};
    prefill_matmul({&to, 1}, x, 512, 130, alone, ProductType::kBf16, scratch, nullptr);
  });
  expect_product(both[1], 130, ProductType::kFloat, [&](void* out, const void* x, PrefillScratch& scratch) {
    DeviceBuffer of_gate(130 * 224 * 4);
    of_gate.fill(0xff);
    const MatvecTarget to[] = {{of_gate.as<void>(), 224}, {out, 224}};
    prefill_matmul(to, x, 512, 130, together, ProductType::kFloat, scratch, nullptr);
    std::vector<float> wait(1);
    of_gate.download(wait.data(), 4);  // before it is given back
  });
}

TEST_F(PrefillMatmulOnDevice, RoundsActivationsWhereItIsTold) {
  constexpr std::int64_t kTokens = 200;
  for (const auto& [rows, cols, slab] : {std::tuple{384, 1024, 1 << 20}, {1024, 384, 1 << 20}, {96, 2688, 1 << 17}}) {
    const MatrixSource both[] = {test::random_matrix(MatrixFormat::kNvfp4, rows, cols, 41), test::random_matrix(MatrixFormat::kNvfp4, rows, cols, 42)};
    for (const RowOrder order : {RowOrder::kPlain, RowOrder::kGateUp}) {
      const std::size_t parts = order == RowOrder::kPlain ? 1 : 2;
      const Nvfp4DeviceMatrix w(pack_nvfp4_tiles({both, parts}, order));
      const auto x = test::random_rows(kTokens * cols, 43);
      DeviceBuffer from(kTokens * cols * 2);
      from.upload(x.data(), from.bytes());
      std::vector<std::vector<Bf16>> results[2];  // exact and rounded, of each part
      for (const bool rounds : {false, true}) {
        PrefillScratch scratch(rounds, rounds ? slab : 1 << 20);
        std::vector<DeviceBuffer> outs;
        std::vector<MatvecTarget> to;
        for (std::size_t part = 0; part < parts; ++part) {
          outs.emplace_back(kTokens * rows * 2);
          outs.back().fill(0xff);
          to.push_back({outs.back().as<void>(), rows});
        }
        prefill_matmul(to, from.as<void>(), cols, kTokens, w, ProductType::kBf16, scratch, nullptr);
        for (const DeviceBuffer& out : outs) results[rounds ? 1 : 0].push_back(download(out));
      }
      for (std::size_t part = 0; part < parts; ++part) {
        double apart = 0, size = 0;
        for (std::size_t i = 0; i < results[0][part].size(); ++i) {
          const double exact = to_float(results[0][part][i]);
          apart += std::pow(to_float(results[1][part][i]) - exact, 2);
          size += exact * exact;
        }
        const double share = std::sqrt(apart / size);
        EXPECT_GT(share, 0.01) << "nothing was rounded";
        EXPECT_LT(share, 0.15) << rows << " x " << cols << ", part " << part << " of " << parts;
      }
    }
  }
}

TEST_F(PrefillMatmulOnDevice, AgreesWithDoublePrecisionForBf16AndFp8) {
  for (const MatrixFormat format : {MatrixFormat::kBf16, MatrixFormat::kFp8}) {
    const MatrixSource m = test::random_matrix(format, 224, 512, 13);
    const DenseDeviceMatrix w(m);
    expect_product(m, 100, ProductType::kBf16, [&](void* out, const void* x, PrefillScratch& scratch) {
      prefill_matmul(out, 224, x, 512, 100, w, ProductType::kBf16, scratch, nullptr);
    });
  }
}

}  // namespace
}  // namespace nvllm::cuda
