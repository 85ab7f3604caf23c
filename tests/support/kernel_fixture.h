#pragma once

// The same inputs for a backend under test and for the oracle: BF16 values, which both hold exactly.

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/simd_target.h"
#include "kernels/reference/reference_ops.h"
#include "support/random_matrix.h"

namespace nvllm::test {

/// Runs every test once per SIMD target of this processor.
class OnEachSimdTarget : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { cpu::use_simd_target(GetParam()); }
  void TearDown() override { cpu::use_best_simd_target(); }

  static CpuOps make_ops(std::int64_t threads = 2) {
    return CpuOps({.threads = threads, .tokens_max = 80, .positions_max = 256});
  }
};

inline auto simd_target_name_of(const testing::TestParamInfo<std::string>& param) { return param.param; }

/// Rows of BF16 with room of their own.
struct HostRows {
  std::int64_t rows, cols;
  std::vector<Bf16> data;

  HostRows(std::int64_t row_count, std::int64_t col_count)
      : rows(row_count), cols(col_count), data(static_cast<std::size_t>(row_count * col_count), Bf16{0x7fc0}) {}
  static HostRows random(std::int64_t row_count, std::int64_t col_count, std::uint64_t seed, float scale = 1.0f) {
    HostRows out(row_count, col_count);
    out.data = random_rows(row_count * col_count, seed, scale);
    return out;
  }
  View<Bf16> view() { return {data.data(), rows, cols}; }
  friend bool operator==(const HostRows&, const HostRows&) = default;
};

/// The same rows in double.
struct ReferenceRows {
  std::int64_t rows, cols;
  std::vector<double> data;

  ReferenceRows(std::int64_t row_count, std::int64_t col_count)
      : rows(row_count), cols(col_count), data(static_cast<std::size_t>(row_count * col_count), std::nan("")) {}
  explicit ReferenceRows(const HostRows& host) : ReferenceRows(host.rows, host.cols) {
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = to_float(host.data[i]);
  }
  View<double> view() { return {data.data(), rows, cols}; }
};

/// BF16 keeps 8 bits: one rounding is at most 2^-8 of the value; `roundings` of them are allowed,
/// and `absolute` covers what the sums before them may be off by.
inline void expect_close(const HostRows& got, const ReferenceRows& want, double roundings, double absolute) {
  ASSERT_EQ(got.data.size(), want.data.size());
  for (std::size_t i = 0; i < got.data.size(); ++i) {
    const double value = to_float(got.data[i]), expected = want.data[i];
    ASSERT_LE(std::abs(value - expected), roundings * 0x1.0p-8 * std::abs(expected) + absolute)
        << "element " << i << ": " << value << " against " << expected;
  }
}

}  // namespace nvllm::test
