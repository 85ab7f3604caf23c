// y = x · Wᵀ for the three packed formats, one order of additions for any number of rows.
//
// Every output has two chains of fused multiply-adds, one per parity of the vectors along K. For
// NVFP4 they restart in each group of 128 columns and enter the row's sum through one multiply by
// the vector of block scales: weights are then exact (a code is a small integer), and the scale
// costs one operation per sixteen. BF16 and FP8 weights are widened exactly.
// With one row the weights are expanded in registers and used at once; with more, a tile of four
// rows of weights is expanded into first-level cache and used by every row of x. Which form runs
// does not change a single addition.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/matmul.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/parts.h"
#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nvllm::cpu {
namespace HWY_NAMESPACE {

/// Tokens whose expanded activations are kept in second-level cache while weights stream past.
constexpr std::int64_t kTokenBlock = 24;

/// Receives finished sums. Exactly one of the two views is set.
struct Sink {
  Rows rounded;
  View<float> exact;
  std::span<const float> bias;

  HWY_INLINE void put(std::int64_t token, std::int64_t row, float sum) const {
    if (!bias.empty()) sum += bias[static_cast<std::size_t>(row)];
    if (rounded.data != nullptr) {
      rounded.row(token)[row] = to_bf16(sum);
    } else {
      exact.row(token)[row] = sum;
    }
  }
};

// ---- NVFP4 ----------------------------------------------------------------------------------

/// Expands one row's 64 bytes of a group and hands 128 / lanes vectors to `use(index, vector)`.
template <class Use>
HWY_INLINE void expand_group(const std::uint8_t* codes, Use&& use) {
  const FloatTag d;
  const hn::Repartition<std::uint8_t, FloatTag> d8;
  const hn::Repartition<std::uint16_t, FloatTag> d16;
  const hn::Repartition<std::uint32_t, FloatTag> d32;
  // The upper and lower byte of the BF16 value of each E2M1 code.
  HWY_ALIGN static constexpr std::uint8_t kUpper[16] = {0x00, 0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40,
                                                        0x80, 0xbf, 0xbf, 0xbf, 0xc0, 0xc0, 0xc0, 0xc0};
  HWY_ALIGN static constexpr std::uint8_t kLower[16] = {0x00, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0,
                                                        0x00, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0};
  const auto upper = hn::LoadDup128(d8, kUpper);
  const auto lower = hn::LoadDup128(d8, kLower);
  const auto low_nibble = hn::Set(d8, 15);
  const auto odd_mask = hn::Set(d32, 0xffff0000u);
  const std::int64_t vector_bytes = 4 * lanes();
  std::int64_t index = 0;
  const auto pair = [&](auto bf16_pairs) HWY_ATTR {
    const auto bits = hn::BitCast(d32, bf16_pairs);
    use(index, hn::BitCast(d, hn::ShiftLeft<16>(bits)), hn::BitCast(d, hn::And(bits, odd_mask)));
    index += 2;
  };
  for (std::int64_t at = 0; at < 64; at += vector_bytes) {
    const auto bytes = hn::LoadU(d8, codes + at);
    const auto high = hn::BitCast(d8, hn::ShiftRight<4>(hn::BitCast(d16, bytes)));
    for (const auto nibbles : {hn::And(bytes, low_nibble), hn::And(high, low_nibble)}) {
      const auto u = hn::TableLookupBytes(upper, nibbles);
      const auto l = hn::TableLookupBytes(lower, nibbles);
      pair(hn::InterleaveLower(d8, l, u));
      pair(hn::InterleaveUpper(d8, l, u));
    }
  }
}

/// The block scales of a row's group as vectors: `even` for even vector indices, `odd` for odd.
/// They are the same vector unless four lanes cannot hold eight blocks.
struct ScalePair {
  FloatVec even, odd;
};

HWY_INLINE ScalePair load_scales(const std::uint8_t* scales) {
  const FloatTag d;
  const hn::Rebind<std::uint8_t, FloatTag> d8;
  const hn::Repartition<std::uint32_t, FloatTag> d32;
  const auto widen = [&](const std::uint8_t* from) HWY_ATTR {
    // E4M3 bits at the float's exponent: right but for the bias, which one exact multiply mends.
    const auto bits = hn::ShiftLeft<20>(hn::PromoteTo(d32, hn::LoadU(d8, from)));
    return hn::Mul(hn::BitCast(d, bits), hn::Set(d, 0x1.0p120f));
  };
  if (lanes() == 16) {
    std::uint8_t twice[16];
    std::memcpy(twice, scales, 8);
    std::memcpy(twice + 8, scales, 8);
    const auto both = widen(twice);
    return {both, both};
  }
  if (lanes() == 8) {
    const auto all = widen(scales);
    return {all, all};
  }
  return {widen(scales), widen(scales + 4)};
}

HWY_INLINE FloatVec add_group(FloatVec sum, FloatVec even, FloatVec odd, const ScalePair& scale) {
  return hn::MulAdd(odd, scale.odd, hn::MulAdd(even, scale.even, sum));
}

void nvfp4_one(const PackedMatrix& w, const float* x, Share::Range rows, const Sink& sink) {
  const FloatTag d;
  const std::int64_t groups = w.padded_cols / kGroupCols, n = lanes();
  for (std::int64_t tile = rows.begin / kTileRows; tile * kTileRows < rows.end; ++tile) {
    const std::uint8_t* codes = w.codes.as<std::uint8_t>() + tile * groups * kTileRows * 64;
    const std::uint8_t* scales = w.scales.as<std::uint8_t>() + tile * groups * kTileRows * 8;
    FloatVec s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    for (std::int64_t g = 0; g < groups; ++g) {
      const float* xg = x + g * kGroupCols;
      const auto row = [&](FloatVec sum, std::int64_t r) HWY_ATTR {
        FloatVec even = hn::Zero(d), odd = even;
        expand_group(codes + r * 64, [&](std::int64_t i, FloatVec we, FloatVec wo) HWY_ATTR {
          even = hn::MulAdd(we, hn::LoadU(d, xg + i * n), even);
          odd = hn::MulAdd(wo, hn::LoadU(d, xg + (i + 1) * n), odd);
        });
        return add_group(sum, even, odd, load_scales(scales + r * 8));
      };
      s0 = row(s0, 0);
      s1 = row(s1, 1);
      s2 = row(s2, 2);
      s3 = row(s3, 3);
      codes += kTileRows * 64;
      scales += kTileRows * 8;
    }
    const FloatVec sums[kTileRows] = {s0, s1, s2, s3};
    for (std::int64_t r = 0; r < kTileRows && tile * kTileRows + r < w.rows; ++r) {
      sink.put(0, tile * kTileRows + r, sum_lanes(sums[r]) * w.global_scale);
    }
  }
}

/// Two rows of expanded weights by kTokens rows of x, one group.
template <int kTokens>
HWY_INLINE void nvfp4_group(const float* w0, const float* w1, const float* x, std::int64_t x_stride,
                            const ScalePair& scale0, const ScalePair& scale1, float* sums) {
  const FloatTag d;
  const std::int64_t n = lanes();
  FloatVec even0[kTokens], odd0[kTokens], even1[kTokens], odd1[kTokens];
  for (int t = 0; t < kTokens; ++t) even0[t] = odd0[t] = even1[t] = odd1[t] = hn::Zero(d);
  for (std::int64_t at = 0; at < kGroupCols; at += 2 * n) {
    const auto we0 = hn::Load(d, w0 + at), we1 = hn::Load(d, w1 + at);
    for (int t = 0; t < kTokens; ++t) {
      const auto xe = hn::LoadU(d, x + t * x_stride + at);
      even0[t] = hn::MulAdd(we0, xe, even0[t]);
      even1[t] = hn::MulAdd(we1, xe, even1[t]);
    }
    const auto wo0 = hn::Load(d, w0 + at + n), wo1 = hn::Load(d, w1 + at + n);
    for (int t = 0; t < kTokens; ++t) {
      const auto xo = hn::LoadU(d, x + t * x_stride + at + n);
      odd0[t] = hn::MulAdd(wo0, xo, odd0[t]);
      odd1[t] = hn::MulAdd(wo1, xo, odd1[t]);
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    float* s0 = sums + t * 16;
    float* s1 = sums + (kTokenBlock + t) * 16;
    hn::Store(add_group(hn::Load(d, s0), even0[t], odd0[t], scale0), d, s0);
    hn::Store(add_group(hn::Load(d, s1), even1[t], odd1[t], scale1), d, s1);
  }
}

void nvfp4_many(const PackedMatrix& w, const float* x, std::int64_t first, std::int64_t tokens,
                Share::Range rows, const Sink& sink) {
  const FloatTag d;
  const std::int64_t groups = w.padded_cols / kGroupCols, n = lanes(), stride = w.padded_cols;
  HWY_ALIGN float expanded[kTileRows][kGroupCols];
  HWY_ALIGN float sums[kTileRows * kTokenBlock * 16];
  for (std::int64_t tile = rows.begin / kTileRows; tile * kTileRows < rows.end; ++tile) {
    std::memset(sums, 0, sizeof sums);
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int64_t cell = (tile * groups + g) * kTileRows;
      for (std::int64_t r = 0; r < kTileRows; ++r) {
        float* to = expanded[r];
        expand_group(w.codes.as<std::uint8_t>() + (cell + r) * 64,
                     [&](std::int64_t i, FloatVec we, FloatVec wo) HWY_ATTR {
                       hn::Store(we, d, to + i * n);
                       hn::Store(wo, d, to + (i + 1) * n);
                     });
      }
      for (std::int64_t r = 0; r < kTileRows; r += 2) {
        const ScalePair scale0 = load_scales(w.scales.as<std::uint8_t>() + (cell + r) * 8);
        const ScalePair scale1 = load_scales(w.scales.as<std::uint8_t>() + (cell + r + 1) * 8);
        float* to = sums + r * kTokenBlock * 16;
        const float* xg = x + first * stride + g * kGroupCols;
        std::int64_t t = 0;
        for (; t + 3 <= tokens; t += 3) {
          nvfp4_group<3>(expanded[r], expanded[r + 1], xg + t * stride, stride, scale0, scale1, to + t * 16);
        }
        for (; t < tokens; ++t) {
          nvfp4_group<1>(expanded[r], expanded[r + 1], xg + t * stride, stride, scale0, scale1, to + t * 16);
        }
      }
    }
    for (std::int64_t r = 0; r < kTileRows && tile * kTileRows + r < w.rows; ++r) {
      for (std::int64_t t = 0; t < tokens; ++t) {
        const auto sum = hn::Load(d, sums + (r * kTokenBlock + t) * 16);
        sink.put(first + t, tile * kTileRows + r, sum_lanes(sum) * w.global_scale);
      }
    }
  }
}

// ---- BF16 -----------------------------------------------------------------------------------

/// kRows rows of weights by kTokens rows of x over all of K.
template <int kRows, int kTokens>
HWY_INLINE void bf16_tile(const PackedMatrix& w, std::int64_t row, const float* x, std::int64_t token,
                          const Sink& sink) {
  const FloatTag d;
  const hn::Repartition<std::uint32_t, FloatTag> d32;
  const std::int64_t n = lanes(), stride = w.padded_cols;
  const auto odd_mask = hn::Set(d32, 0xffff0000u);
  FloatVec even[kRows][kTokens], odd[kRows][kTokens];
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) even[r][t] = odd[r][t] = hn::Zero(d);
  }
  const auto* from = w.codes.as<std::uint16_t>() + row * stride;
  const float* xt = x + token * stride;
  for (std::int64_t k = 0; k < stride; k += 2 * n) {
    for (int r = 0; r < kRows; ++r) {
      const auto bits = hn::LoadU(d32, reinterpret_cast<const std::uint32_t*>(from + r * stride + k));
      const auto we = hn::BitCast(d, hn::ShiftLeft<16>(bits));
      const auto wo = hn::BitCast(d, hn::And(bits, odd_mask));
      for (int t = 0; t < kTokens; ++t) {
        even[r][t] = hn::MulAdd(we, hn::LoadU(d, xt + t * stride + k), even[r][t]);
        odd[r][t] = hn::MulAdd(wo, hn::LoadU(d, xt + t * stride + k + n), odd[r][t]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) sink.put(token + t, row + r, sum_lanes(hn::Add(even[r][t], odd[r][t])));
  }
}

void bf16_rows(const PackedMatrix& w, const float* x, std::int64_t first, std::int64_t tokens,
               Share::Range rows, const Sink& sink) {
  const std::int64_t end = std::min(rows.end, w.rows), last = first + tokens;
  std::int64_t row = rows.begin;
  if (tokens == 1) {
    for (; row + 4 <= end; row += 4) bf16_tile<4, 1>(w, row, x, first, sink);
  }
  for (; row + 2 <= end; row += 2) {
    std::int64_t t = first;
    for (; t + 3 <= last; t += 3) bf16_tile<2, 3>(w, row, x, t, sink);
    for (; t < last; ++t) bf16_tile<2, 1>(w, row, x, t, sink);
  }
  for (; row < end; ++row) {
    for (std::int64_t t = first; t < last; ++t) bf16_tile<1, 1>(w, row, x, t, sink);
  }
}

// ---- FP8 ------------------------------------------------------------------------------------

/// One row by kTokens rows of x: each 128-column group is summed apart, then scaled.
template <int kTokens>
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
  FloatVec sum[kTokens];
  for (int t = 0; t < kTokens; ++t) sum[t] = hn::Zero(d);
  const float* xt = x + token * stride;
  for (std::int64_t g = 0; g < groups; ++g) {
    FloatVec even[kTokens], odd[kTokens];
    for (int t = 0; t < kTokens; ++t) even[t] = odd[t] = hn::Zero(d);
    const std::int64_t begin = g * kGroupCols;
    for (std::int64_t k = begin; k < begin + kGroupCols; k += 2 * n) {
      const auto we = widen(w.codes.as<std::uint8_t>() + row * stride + k);
      const auto wo = widen(w.codes.as<std::uint8_t>() + row * stride + k + n);
      for (int t = 0; t < kTokens; ++t) {
        even[t] = hn::MulAdd(we, hn::LoadU(d, xt + t * stride + k), even[t]);
        odd[t] = hn::MulAdd(wo, hn::LoadU(d, xt + t * stride + k + n), odd[t]);
      }
    }
    const auto scale = hn::Set(d, w.scales.as<float>()[row * groups + g]);
    for (int t = 0; t < kTokens; ++t) sum[t] = hn::MulAdd(hn::Add(even[t], odd[t]), scale, sum[t]);
  }
  for (int t = 0; t < kTokens; ++t) sink.put(token + t, row, sum_lanes(sum[t]));
}

void fp8_rows(const PackedMatrix& w, const float* x, std::int64_t first, std::int64_t tokens,
              Share::Range rows, const Sink& sink) {
  for (std::int64_t row = rows.begin; row < std::min(rows.end, w.rows); ++row) {
    std::int64_t t = first;
    for (; t + 4 <= first + tokens; t += 4) fp8_tile<4>(w, row, x, t, sink);
    for (; t < first + tokens; ++t) fp8_tile<1>(w, row, x, t, sink);
  }
}

// ---------------------------------------------------------------------------------------------

void multiply(const PackedMatrix& w, const float* x, std::int64_t tokens, Share::Range rows,
              const Sink& sink) {
  for (std::int64_t first = 0; first < tokens; first += kTokenBlock) {
    const std::int64_t count = std::min(kTokenBlock, tokens - first);
    switch (w.format) {
      case PackedFormat::kNvfp4:
        if (tokens == 1) {
          nvfp4_one(w, x, rows, sink);
        } else {
          nvfp4_many(w, x, first, count, rows, sink);
        }
        break;
      case PackedFormat::kBf16: bf16_rows(w, x, first, count, rows, sink); break;
      case PackedFormat::kFp8: fp8_rows(w, x, first, count, rows, sink); break;
    }
  }
}

void MultiplyRounded(Rows out, const float* x, const PackedMatrix& w, std::span<const float> bias, Share::Range rows) {
  multiply(w, x, out.rows, rows, Sink{.rounded = out, .exact = {}, .bias = bias});
}

void MultiplyExact(View<float> out, const float* x, const PackedMatrix& w, Share::Range rows) {
  multiply(w, x, out.rows, rows, Sink{.rounded = {}, .exact = out, .bias = {}});
}

/// Even, then odd elements of every 2·lanes columns: the order in which BF16 pairs are split.
void expand_pairs(float* to, const Bf16* x, std::int64_t cols, std::int64_t padded_cols) {
  const std::int64_t n = lanes();
  for (std::int64_t k = 0; k < padded_cols; k += 2 * n) {
    for (std::int64_t i = 0; i < n; ++i) {
      to[k + i] = k + 2 * i < cols ? to_float(x[k + 2 * i]) : 0.0f;
      to[k + n + i] = k + 2 * i + 1 < cols ? to_float(x[k + 2 * i + 1]) : 0.0f;
    }
  }
}

void ExpandRow(float* to, const Bf16* x, std::int64_t cols, std::int64_t padded_cols, PackedFormat format) {
  if (format == PackedFormat::kBf16) return expand_pairs(to, x, cols, padded_cols);
  for (std::int64_t k = 0; k < padded_cols; ++k) {
    const std::int64_t position = k % kGroupCols;  // NVFP4: element p / 8 of block p % 8
    const std::int64_t from =
        format == PackedFormat::kNvfp4 ? k - position + position % 8 * 16 + position / 8 : k;
    to[k] = from < cols ? to_float(x[from]) : 0.0f;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nvllm::cpu {

HWY_EXPORT(MultiplyRounded);
HWY_EXPORT(MultiplyExact);
HWY_EXPORT(ExpandRow);

void expand_part(float* expanded, ConstRows x, PackedFormat format, std::int64_t padded_cols, Share& share) {
  // Whole rows where there are many; one row is short work for one worker.
  const Share::Range rows = share.part(x.rows);
  for (std::int64_t t = rows.begin; t < rows.end; ++t) {
    HWY_DYNAMIC_DISPATCH(ExpandRow)(expanded + t * padded_cols, x.row(t), x.cols, padded_cols, format);
  }
}

Share::Range own_rows(std::int64_t rows, const Share& share) {
  const Share::Range tiles = share.part((rows + kTileRows - 1) / kTileRows);
  return {tiles.begin * kTileRows, std::min(rows, tiles.end * kTileRows)};
}

void multiply_part(Rows out, const float* expanded, const PackedMatrix& w, std::span<const float> bias,
                   Share& share) {
  HWY_DYNAMIC_DISPATCH(MultiplyRounded)(out, expanded, w, bias, own_rows(w.rows, share));
}

void multiply_to_float_part(View<float> out, const float* expanded, const PackedMatrix& w, Share& share) {
  HWY_DYNAMIC_DISPATCH(MultiplyExact)(out, expanded, w, own_rows(w.rows, share));
}

}  // namespace nvllm::cpu
#endif  // HWY_ONCE
