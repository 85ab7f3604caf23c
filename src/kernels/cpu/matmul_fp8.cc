// FP8 products by float multiply-adds: weights are widened exactly; each group of 128 columns is
// summed apart, in two chains, one per parity of the vectors, and then scaled.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/matmul_fp8.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/cpu/matmul_formats.h"
#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nvllm::cpu {
namespace HWY_NAMESPACE {

/// kRows rows by kTokens rows of x: each 128-column group is summed apart, then scaled.
template <int kRows, int kTokens>
HWY_INLINE void fp8_tile(const PackedMatrix& w, std::int64_t row, const float* x, std::int64_t token,
                         const Sink& sink) {
  const FloatTag d;
  const hn::Rebind<std::uint8_t, FloatTag> d8;
  const hn::Repartition<std::uint32_t, FloatTag> d32;
  const std::int64_t n = lanes(), stride = w.padded_cols, groups = stride / kGroupCols;
  const auto bias = hn::Set(d, 0x1.0p120f);
  const auto widen = [&](const std::uint8_t* from) HWY_ATTR {
    const auto code = hn::PromoteTo(d32, hn::LoadU(d8, from));
    const auto magnitude = hn::ShiftLeft<20>(hn::And(code, hn::Set(d32, 0x7f)));
    const auto sign = hn::ShiftLeft<24>(hn::And(code, hn::Set(d32, 0x80)));
    return hn::Mul(hn::BitCast(d, hn::Or(magnitude, sign)), bias);
  };
  FloatVec sum[kRows][kTokens];
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) sum[r][t] = hn::Zero(d);
  }
  const std::uint8_t* codes = w.codes.as<std::uint8_t>() + row * stride;
  const float* xt = x + token * stride;
  for (std::int64_t g = 0; g < groups; ++g) {
    FloatVec even[kRows][kTokens], odd[kRows][kTokens];
    for (int r = 0; r < kRows; ++r) {
      for (int t = 0; t < kTokens; ++t) even[r][t] = odd[r][t] = hn::Zero(d);
    }
    const std::int64_t begin = g * kGroupCols;
    for (std::int64_t k = begin; k < begin + kGroupCols; k += 2 * n) {
      for (int r = 0; r < kRows; ++r) {
        const auto we = widen(codes + r * stride + k), wo = widen(codes + r * stride + k + n);
        for (int t = 0; t < kTokens; ++t) {
          even[r][t] = hn::MulAdd(we, hn::LoadU(d, xt + t * stride + k), even[r][t]);
          odd[r][t] = hn::MulAdd(wo, hn::LoadU(d, xt + t * stride + k + n), odd[r][t]);
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      const auto scale = hn::Set(d, w.scales.as<float>()[(row + r) * groups + g]);
      for (int t = 0; t < kTokens; ++t) sum[r][t] = hn::MulAdd(hn::Add(even[r][t], odd[r][t]), scale, sum[r][t]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) sink.put(token + t, row + r, sum_lanes(sum[r][t]));
  }
}

void fp8_rows(const PackedMatrix& w, const float* x, std::int64_t first, std::int64_t tokens,
              Share::Range rows, const Sink& sink) {
  const std::int64_t end = std::min(rows.end, w.rows), last = first + tokens;
  std::int64_t row = rows.begin;
  if (tokens == 1) {
    for (; row + 2 <= end; row += 2) fp8_tile<2, 1>(w, row, x, first, sink);
  }
  for (; row < end; ++row) {
    std::int64_t t = first;
    for (; t + 4 <= last; t += 4) fp8_tile<1, 4>(w, row, x, t, sink);
    for (; t < last; ++t) fp8_tile<1, 1>(w, row, x, t, sink);
  }
}

void Fp8Multiply(const PackedMatrix& w, const float* x, std::int64_t tokens, Share::Range rows, const Sink& sink) {
  for (std::int64_t first = 0; first < tokens; first += kTokenBlock) {
    fp8_rows(w, x, first, std::min(kTokenBlock, tokens - first), rows, sink);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nvllm::cpu {

HWY_EXPORT(Fp8Multiply);

void expand_fp8(std::byte* expanded, ConstRows x, std::int64_t padded_cols, Share& share) {
  const Share::Range rows = share.part(x.rows);
  for (std::int64_t t = rows.begin; t < rows.end; ++t) {
    float* to = reinterpret_cast<float*>(expanded) + t * padded_cols;
    for (std::int64_t k = 0; k < padded_cols; ++k) to[k] = k < x.cols ? to_float(x.row(t)[k]) : 0.0f;
  }
}

void multiply_fp8(const PackedMatrix& w, const std::byte* x, std::int64_t tokens, Share::Range rows, const Sink& sink) {
  HWY_DYNAMIC_DISPATCH(Fp8Multiply)(w, reinterpret_cast<const float*>(x), tokens, rows, sink);
}

}  // namespace nvllm::cpu
#endif  // HWY_ONCE
