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

/// A product of stacked matrices with random rows, and where its results are.
struct Product {
  std::vector<MatrixSource> parts;
  std::int64_t tokens;
  RowOrder order = RowOrder::kPlain;
  std::vector<float> gain = {};  ///< of a zero-centred norm; empty: none
  std::vector<Bf16> dense = {};  ///< [dense_rows, cols]
  std::vector<float> dense_out = {};
  bool by_teams = false;  ///< as devices do that have no warpgroup products

  std::int64_t cols() const { return parts[0].cols; }
  std::int64_t rows() const {
    std::int64_t sum = 0;
    for (const MatrixSource& part : parts) sum += part.rows;
    return sum;
  }
  std::vector<Bf16> x() const { return test::random_rows(tokens * cols(), 7); }

  /// All parts' results, [tokens, out_cols].
  std::vector<float> run(MatvecEnd end, std::int64_t out_cols, const std::vector<Bf16>& start = {}) {
    const Nvfp4DeviceMatrix w(pack_nvfp4_tiles(parts, order));
    const auto from = x();
    const std::int64_t count = tokens * out_cols, bytes = end == MatvecEnd::kFloat ? 4 : 2;
    const std::int64_t dense_rows = static_cast<std::int64_t>(dense.size()) / cols();
    DeviceBuffer x_device(tokens * cols() * 2), out(count * bytes), gains(cols() * 4), dense_weights(dense_rows * cols() * 2), dense_to(tokens * dense_rows * 2);
    x_device.upload(from.data(), x_device.bytes());
    if (!gain.empty()) gains.upload(gain.data(), gains.bytes());
    if (!dense.empty()) dense_weights.upload(dense.data(), dense_weights.bytes());
    out.fill(0xff);  // NaN in either type
    dense_to.fill(0xff);
    if (!start.empty()) out.upload(start.data(), out.bytes());
    DeviceFacts device = test::device_facts();
    if (by_teams) device.shared_bytes = 99 * 1024;
    const MatvecWorkspace workspace(matvec_needs(w, device));
    MatvecCall call{.x = x_device.as<Bf16>(), .x_stride = cols(), .tokens = tokens, .w = &w, .end = end};
    std::int64_t at = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      call.out[i] = {out.as<std::byte>() + at * bytes, out_cols};
      at += parts[i].rows;
    }
    if (!gain.empty()) call.norm = {.gain = gains.as<float>(), .epsilon = 1e-6f, .zero_centred = true};
    if (!dense.empty()) {
      const std::int64_t first = dense_rows / 2;
      call.dense[0] = {dense_weights.as<Bf16>(), first, {dense_to.as<void>(), dense_rows}};
      call.dense[1] = {dense_weights.as<Bf16>() + first * cols(), dense_rows - first, {dense_to.as<Bf16>() + first, dense_rows}};
    }
    nvfp4_matvec(call, device, workspace, nullptr);
    dense_out = floats_in(dense_to, 2);
    return floats_in(out, bytes);
  }

  static std::vector<float> floats_in(const DeviceBuffer& buffer, std::int64_t bytes) {
    std::vector<float> values(static_cast<std::size_t>(buffer.bytes() / bytes));
    if (bytes == 4) {
      buffer.download(values.data(), buffer.bytes());
      return values;
    }
    std::vector<Bf16> halves(values.size());
    buffer.download(halves.data(), buffer.bytes());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = to_float(halves[i]);
    return values;
  }
};

class Nvfp4MatvecOnDevice : public test::OnDevice {};

TEST_F(Nvfp4MatvecOnDevice, AgreesWithDoublePrecisionForEveryShapeAndCountOfTokens) {
  struct Shape {
    std::int64_t rows, cols;
  };
  // Among them more row tiles than multiprocessors, with and without many left over, and a row too wide for 99 KB of shared memory.
  for (const Shape shape : {Shape{16, 128}, Shape{1, 16}, Shape{33, 48}, Shape{512, 1024}, Shape{1000, 3584}, Shape{48, 17408},
                            Shape{4700, 272}, Shape{8480, 144}, Shape{32, 24576}}) {
    for (const std::int64_t tokens : {1, 2, 3, 5, 7, 8, 9, 16, 17, 32, 33, 64, 65, 128, 131}) {
      Product product{{every_scale(shape.rows, shape.cols, 3)}, tokens};
      const Reference want = reference_of(product.parts[0], product.x(), tokens);
      for (const bool by_teams : {false, true}) {
        product.by_teams = by_teams;
        const auto got = product.run(MatvecEnd::kFloat, shape.rows);
        for (std::size_t i = 0; i < got.size(); ++i) {
          // Float sums of cols products, in any order: cols / 2 roundings on the way are generous.
          const double bound = want.sizes[i] * std::exp2(-24) * (8 + std::sqrt(static_cast<double>(shape.cols)));
          ASSERT_NEAR(got[i], want.sums[i], bound) << shape.rows << " x " << shape.cols << ", tokens " << tokens << ", at " << i << (by_teams ? ", by teams" : "");
        }
      }
    }
  }
}

TEST_F(Nvfp4MatvecOnDevice, GivesTheSameBitsEveryTime) {
  for (const std::int64_t tokens : {1, 3, 16, 30, 64, 100}) {
    Product product{{every_scale(1000, 5120, 5)}, tokens};
    const auto first = product.run(MatvecEnd::kFloat, 1000);
    for (int i = 0; i < 20; ++i) ASSERT_EQ(product.run(MatvecEnd::kFloat, 1000), first);
  }
}

TEST_F(Nvfp4MatvecOnDevice, ARowsBitsDoNotDependOnHowManyThereAre) {
  if (!has_warpgroups(test::device_facts())) GTEST_SKIP() << "teams of warps cut the columns by the number of rows";
  std::vector<float> want;
  for (const std::int64_t tokens : {2, 8, 9, 16, 32, 64, 128, 300}) {
    Product product{{every_scale(1000, 5120, 5)}, tokens};
    auto got = product.run(MatvecEnd::kFloat, 1000);
    got.resize(2000);  // of the first two rows
    if (want.empty()) want = got;
    ASSERT_EQ(got, want) << tokens;
  }
}

TEST_F(Nvfp4MatvecOnDevice, AddsToTheResidualAsTwoRoundings) {
  for (const std::int64_t tokens : {1, 2, 12, 31, 64, 127}) {
    Product product{{every_scale(256, 512, 9)}, tokens};
    product.by_teams = tokens == 2;
    const auto start = test::random_rows(256 * tokens, 11, 100.0f);
    const auto sums = product.run(MatvecEnd::kBf16, 256), added = product.run(MatvecEnd::kAdd, 256, start);
    for (std::size_t i = 0; i < sums.size(); ++i) EXPECT_EQ(added[i], round_to_bf16(to_float(start[i]) + sums[i]));
  }
}

TEST_F(Nvfp4MatvecOnDevice, SwigluIsThatOfTheRoundedHalves) {
  const std::int64_t half = 100;
  for (const std::int64_t tokens : {1, 5, 13, 32, 50, 90}) {
    Product product{{test::random_matrix(MatrixFormat::kNvfp4, half, 512, 13), test::random_matrix(MatrixFormat::kNvfp4, half, 512, 14)}, tokens};
    product.parts[1].global_scale *= 3;
    const auto parts = product.run(MatvecEnd::kBf16, 2 * half);
    product.order = RowOrder::kGateUp;
    const auto got = product.run(MatvecEnd::kSwiglu, half);
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t r = 0; r < half; ++r) {
        const double gate = parts[static_cast<std::size_t>(t * 2 * half + r)], up = parts[static_cast<std::size_t>(t * 2 * half + half + r)];
        const double want = gate / (1 + std::exp(-gate)) * up;
        EXPECT_NEAR(got[static_cast<std::size_t>(t * half + r)], want, std::abs(want) * 0.009 + 1e-12);
      }
    }
  }
}

TEST_F(Nvfp4MatvecOnDevice, StackedMatricesGiveWhatEachGivesAlone) {
  for (const std::int64_t tokens : {1, 4, 20, 129}) {
    const MatrixSource first = every_scale(70, 1024, 21), second = every_scale(33, 1024, 22);
    Product both{{first, second}, tokens}, alone{{second}, tokens};
    both.parts[1].global_scale = alone.parts[0].global_scale = 0.5f;
    const auto got = both.run(MatvecEnd::kFloat, 103);
    const Reference want = reference_of(alone.parts[0], alone.x(), tokens);
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t r = 0; r < 33; ++r) {
        const auto at = static_cast<std::size_t>(t * 33 + r);
        EXPECT_NEAR(got[static_cast<std::size_t>(t * 103 + 70 + r)], want.sums[at], want.sizes[at] * 1e-5);
      }
    }
  }
}

/// Rows as a zero-centred norm leaves them.
std::vector<Bf16> normed_rows(const std::vector<Bf16>& x, const std::vector<float>& gain, std::int64_t tokens) {
  std::vector<Bf16> out(x.size());
  const std::size_t cols = gain.size();
  for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t) {
    double squares = 0;
    for (std::size_t c = 0; c < cols; ++c) squares += std::pow(to_float(x[t * cols + c]), 2);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(cols) + 1e-6);
    for (std::size_t c = 0; c < cols; ++c) {
      out[t * cols + c] = to_bf16(static_cast<float>(to_float(x[t * cols + c]) * scale * (1.0 + gain[c])));
    }
  }
  return out;
}

TEST_F(Nvfp4MatvecOnDevice, PacksAsTheHostDoes) {
  std::vector<MatrixSource> parts = {every_scale(70, 208, 41), every_scale(33, 208, 42)};
  // Negative scales turn signs: some of them.
  auto* scales = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(parts[1].block_scales));
  for (std::int64_t i = 0; i < 33 * 13; i += 3) scales[i] |= 0x80;
  for (const RowOrder order : {RowOrder::kPlain, RowOrder::kGateUp}) {
    if (order == RowOrder::kGateUp) parts[0].rows = 33;
    const Nvfp4Tiles want = pack_nvfp4_tiles(parts, order);
    const Nvfp4DeviceMatrix got(parts, order);
    std::vector<std::byte> bytes(want.bytes.size());
    ASSERT_EQ(got.bytes(), static_cast<std::int64_t>(bytes.size()));
    test::download(bytes.data(), got.tiles(), got.bytes());
    EXPECT_EQ(bytes, want.bytes);
  }
}

TEST_F(Nvfp4MatvecOnDevice, NormsRowsFirstAndMultipliesDenseRowsByTheSame) {
  for (const std::int64_t cols : {64, 1024, 5120, 8192}) {
    for (const std::int64_t tokens : {1, 3, 8}) {
      Product product{{every_scale(9600, cols, 31)}, tokens};
      product.gain = test::random_floats(cols, 32);
      product.dense = test::random_rows(7 * cols, 33);
      product.by_teams = cols == 1024;
      const auto got = product.run(MatvecEnd::kFloat, 9600);
      const auto x = normed_rows(product.x(), product.gain, tokens);
      MatrixSource few = product.parts[0];
      few.rows = 64;
      const Reference want = reference_of(few, x, tokens);
      for (std::int64_t t = 0; t < tokens; ++t) {
        for (std::int64_t r = 0; r < 64; ++r) {
          const auto at = static_cast<std::size_t>(t * 64 + r);
          // Now and then a column rounds the other way: 2^-8 of one product among so many.
          ASSERT_NEAR(got[static_cast<std::size_t>(t * 9600 + r)], want.sums[at], want.sizes[at] * 2e-4) << cols << ", tokens " << tokens;
        }
        for (std::int64_t r = 0; r < 7; ++r) {
          double sum = 0, size = 0;
          for (std::int64_t c = 0; c < cols; ++c) {
            const double product_ = static_cast<double>(to_float(x[static_cast<std::size_t>(t * cols + c)])) * to_float(product.dense[static_cast<std::size_t>(r * cols + c)]);
            sum += product_;
            size += std::abs(product_);
          }
          ASSERT_NEAR(product.dense_out[static_cast<std::size_t>(t * 7 + r)], sum, std::abs(sum) * 0.004 + size * 2e-4) << cols << ", tokens " << tokens;
        }
      }
    }
  }
}

}  // namespace
}  // namespace nvllm::cuda
