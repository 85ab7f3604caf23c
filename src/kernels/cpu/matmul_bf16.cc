// BF16 products by float multiply-adds: weights are widened exactly, and a sum is one chain of fused
// multiply-adds along K for each lane.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/matmul_bf16.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/cpu/matmul_formats.h"
#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nvllm::cpu {
namespace HWY_NAMESPACE {

/// kRows rows of weights by kTokens rows of x over all of K: one chain for each of their sums.
template <int kRows, int kTokens>
HWY_INLINE void bf16_tile(const PackedMatrix& w, std::int64_t row, const float* x, std::int64_t token,
                          const Sink& sink) {
  const FloatTag d;
  const hn::Repartition<std::uint32_t, FloatTag> d32;
  const std::int64_t n = lanes(), stride = w.padded_cols;
  const auto odd_mask = hn::Set(d32, 0xffff0000u);
  FloatVec sum[kRows][kTokens];
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) sum[r][t] = hn::Zero(d);
  }
  const auto* from = w.codes.as<std::uint16_t>() + row * stride;
  const float* xt = x + token * stride;
  const auto pairs = [&](int r, std::int64_t k) HWY_ATTR {
    return hn::LoadU(d32, reinterpret_cast<const std::uint32_t*>(from + r * stride + k));
  };
  for (std::int64_t k = 0; k < stride; k += 2 * n) {
    FloatVec xe[kTokens], xo[kTokens];
    for (int t = 0; t < kTokens; ++t) xe[t] = hn::LoadU(d, xt + t * stride + k);
    for (int r = 0; r < kRows; ++r) {
      const auto even = hn::BitCast(d, hn::ShiftLeft<16>(pairs(r, k)));
      for (int t = 0; t < kTokens; ++t) sum[r][t] = hn::MulAdd(even, xe[t], sum[r][t]);
    }
    for (int t = 0; t < kTokens; ++t) xo[t] = hn::LoadU(d, xt + t * stride + k + n);
    for (int r = 0; r < kRows; ++r) {
      const auto odd = hn::BitCast(d, hn::And(pairs(r, k), odd_mask));
      for (int t = 0; t < kTokens; ++t) sum[r][t] = hn::MulAdd(odd, xo[t], sum[r][t]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) sink.put(token + t, row + r, sum_lanes(sum[r][t]));
  }
}

void bf16_rows(const PackedMatrix& w, const float* x, std::int64_t first, std::int64_t tokens,
               Share::Range rows, const Sink& sink) {
  const std::int64_t end = std::min(rows.end, w.rows), last = first + tokens;
  std::int64_t row = rows.begin;
  for (; row + 4 <= end; row += 4) {
    std::int64_t t = first;
    for (; t + 3 <= last; t += 3) bf16_tile<4, 3>(w, row, x, t, sink);
    for (; t < last; ++t) bf16_tile<4, 1>(w, row, x, t, sink);
  }
  for (; row < end; ++row) {
    for (std::int64_t t = first; t < last; ++t) bf16_tile<1, 1>(w, row, x, t, sink);
  }
}

void Bf16Multiply(const PackedMatrix& w, const float* x, std::int64_t tokens, Share::Range rows, const Sink& sink) {
  for (std::int64_t first = 0; first < tokens; first += kTokenBlock) {
    bf16_rows(w, x, first, std::min(kTokenBlock, tokens - first), rows, sink);
  }
}

/// Even, then odd elements of every 2·lanes columns: the order in which BF16 pairs are split.
void ExpandPairs(float* to, const Bf16* x, std::int64_t cols, std::int64_t padded_cols) {
  const std::int64_t n = lanes();
  for (std::int64_t k = 0; k < padded_cols; k += 2 * n) {
    for (std::int64_t i = 0; i < n; ++i) {
      to[k + i] = k + 2 * i < cols ? to_float(x[k + 2 * i]) : 0.0f;
      to[k + n + i] = k + 2 * i + 1 < cols ? to_float(x[k + 2 * i + 1]) : 0.0f;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nvllm::cpu {

HWY_EXPORT(Bf16Multiply);
HWY_EXPORT(ExpandPairs);

void expand_bf16(std::byte* expanded, ConstRows x, std::int64_t padded_cols, Share& share) {
  const Share::Range rows = share.part(x.rows);
  for (std::int64_t t = rows.begin; t < rows.end; ++t) {
    HWY_DYNAMIC_DISPATCH(ExpandPairs)(reinterpret_cast<float*>(expanded) + t * padded_cols, x.row(t), x.cols, padded_cols);
  }
}

void multiply_bf16(const PackedMatrix& w, const std::byte* x, std::int64_t tokens, Share::Range rows, const Sink& sink) {
  HWY_DYNAMIC_DISPATCH(Bf16Multiply)(w, reinterpret_cast<const float*>(x), tokens, rows, sink);
}

}  // namespace nvllm::cpu
#endif  // HWY_ONCE
