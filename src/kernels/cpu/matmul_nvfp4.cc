// NVFP4 products in 16-bit integers.
//
// Codes are small integers, and so are activations once a block of sixteen shares a power of two, so
// a block's sum of products is an exact 32-bit integer, whatever the order or the instruction. It
// enters the row's sum through one multiply by both scales (decision 0003).
// With one row of x, weights are expanded in registers and used at once; with more, a tile of four
// rows is expanded into first-level cache and used by every row of x.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/matmul_nvfp4.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/cpu/matmul_formats.h"
#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nvllm::cpu {
namespace HWY_NAMESPACE {

using WordTag = hn::Repartition<std::int16_t, FloatTag>;
using WordVec = hn::Vec<WordTag>;
using IntTag = hn::Repartition<std::int32_t, FloatTag>;
using IntVec = hn::Vec<IntTag>;

/// Expands 4·lanes bytes of codes and hands four vectors of 512 times the weights to `use(i, words)`.
template <class Use>
HWY_INLINE void expand_chunk(const std::uint8_t* codes, Use&& use) {
  const WordTag d16;
  const hn::Repartition<std::uint8_t, FloatTag> d8;
  const hn::Repartition<std::uint16_t, FloatTag> du16;
  HWY_ALIGN static constexpr std::int8_t kTwice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const auto twice = hn::LoadDup128(d8, reinterpret_cast<const std::uint8_t*>(kTwice));
  const auto low_nibble = hn::Set(d8, 15);
  const auto upper_byte = hn::Set(du16, 0xff00);
  // A byte in the upper half of a word is 256 times the number: no widening is needed.
  const auto words = [&](std::int64_t i, auto nibbles) HWY_ATTR {
    const auto pairs = hn::BitCast(du16, hn::TableLookupBytes(twice, nibbles));
    use(i, hn::BitCast(d16, hn::ShiftLeft<8>(pairs)));
    use(i + 1, hn::BitCast(d16, hn::And(pairs, upper_byte)));
  };
  const auto bytes = hn::LoadU(d8, codes);
  words(0, hn::And(bytes, low_nibble));
  words(2, hn::And(hn::BitCast(d8, hn::ShiftRight<4>(hn::BitCast(du16, bytes))), low_nibble));
}

/// A row's eight block scales in one group, lane by block: `first` blocks 0 to 7 (twice where there
/// are sixteen lanes), or 0 to 3 with 4 to 7 in `second` where there are four.
struct BlockScales {
  FloatVec first, second;

  HWY_INLINE explicit BlockScales(const std::uint8_t* codes) {
    const hn::Rebind<std::uint8_t, FloatTag> d8;
    first = widen(load(d8, codes));
    second = lanes() == 4 ? widen(load(d8, codes + 4)) : first;
  }

 private:
  /// Eight codes, twice where sixteen are wanted.
  template <class D8>
  static HWY_INLINE hn::Vec<D8> load(D8 d8, const std::uint8_t* codes) {
    if constexpr (hn::MaxLanes(D8()) == 16) {
      std::uint64_t eight;
      std::memcpy(&eight, codes, 8);
      return hn::BitCast(d8, hn::Set(hn::Repartition<std::uint64_t, D8>(), eight));
    } else {
      return hn::LoadU(d8, codes);
    }
  }
  template <class Codes>
  static HWY_INLINE FloatVec widen(Codes codes) {
    const FloatTag d;
    const hn::Repartition<std::uint32_t, FloatTag> d32;
    // E4M3 bits at the float's exponent: right but for the bias, which one exact multiply mends.
    const auto bits = hn::BitCast(d, hn::ShiftLeft<20>(hn::PromoteTo(d32, codes)));
    return hn::Mul(bits, hn::Set(d, 0x1.0p120f));
  }
};

/// Sums of products of one row and group, lane by block as above.
struct BlockSums {
  IntVec first, second;
  IntVec first_odd, second_odd;  // used where a target splits the pairs of a word product

  HWY_INLINE BlockSums() { first = second = first_odd = second_odd = hn::Zero(IntTag()); }

  /// `i`: which vector of the group.
  HWY_INLINE void add(std::int64_t i, WordVec w, WordVec x) {
    if (lanes() == 4 && i % 2 == 1) {
      second = hn::ReorderWidenMulAccumulate(IntTag(), w, x, second, second_odd);
    } else {
      first = hn::ReorderWidenMulAccumulate(IntTag(), w, x, first, first_odd);
    }
  }

  /// `sum` and this group.
  HWY_INLINE FloatVec added_to(FloatVec sum, const BlockScales& scales, const float* x_scales) const {
    const FloatTag d;
    const auto enter = [&](IntVec sums, FloatVec scale, const float* xs) HWY_ATTR {
      sum = hn::MulAdd(hn::ConvertTo(d, sums), hn::Mul(scale, hn::Load(d, xs)), sum);
    };
    enter(hn::RearrangeToOddPlusEven(first, first_odd), scales.first, x_scales);
    if (lanes() == 4) enter(hn::RearrangeToOddPlusEven(second, second_odd), scales.second, x_scales + 4);
    return sum;
  }
};

/// Where the weights of a tile of kTileRows rows lie for one group.
struct TileGroup {
  const std::uint8_t* codes;
  const std::uint8_t* scales;

  TileGroup(const PackedMatrix& w, std::int64_t tile, std::int64_t group) {
    const std::int64_t cell = (tile * (w.padded_cols / kGroupCols) + group) * kTileRows;
    codes = w.codes.as<std::uint8_t>() + cell * 64;
    scales = w.scales.as<std::uint8_t>() + cell * 8;
  }
};

void nvfp4_one(const PackedMatrix& w, const Nvfp4Group* x, Share::Range rows, const Sink& sink) {
  const FloatTag d;
  const WordTag d16;
  const std::int64_t groups = w.padded_cols / kGroupCols, n = lanes();
  for (std::int64_t tile = rows.begin / kTileRows; tile * kTileRows < rows.end; ++tile) {
    FloatVec sums[kTileRows];
    for (FloatVec& sum : sums) sum = hn::Zero(d);
    for (std::int64_t g = 0; g < groups; ++g) {
      const TileGroup from(w, tile, g);
      for (std::int64_t r = 0; r < kTileRows; ++r) {
        BlockSums blocks;
        for (std::int64_t at = 0; at < 64; at += 4 * n) {
          expand_chunk(from.codes + r * 64 + at, [&](std::int64_t i, WordVec words) HWY_ATTR {
            blocks.add(i, words, hn::Load(d16, x[g].values + 2 * (at + i * n)));
          });
        }
        sums[r] = blocks.added_to(sums[r], BlockScales(from.scales + r * 8), x[g].scales);
      }
    }
    for (std::int64_t r = 0; r < kTileRows && tile * kTileRows + r < w.rows; ++r) {
      sink.put(0, tile * kTileRows + r, sum_lanes(sums[r]) * w.global_scale);
    }
  }
}

/// A whole tile of expanded weights by kTokens rows of x, one group; `sums` [rows, kTokenBlock] vectors.
template <int kTokens>
HWY_INLINE void nvfp4_group(const std::int16_t* w, const BlockScales* scales, const Nvfp4Group* x, float* sums) {
  const FloatTag d;
  const WordTag d16;
  const std::int64_t n = lanes();
  BlockSums blocks[kTileRows][kTokens];
  // Unrolled, g++ 12 gathers all additions behind all products and spills the products.
#pragma GCC unroll 1
  for (std::int64_t i = 0; i < kGroupCols / (2 * n); ++i) {
    WordVec xi[kTokens];
    for (int t = 0; t < kTokens; ++t) xi[t] = hn::Load(d16, x[t].values + i * 2 * n);
    for (int r = 0; r < kTileRows; ++r) {
      const auto wi = hn::Load(d16, w + r * kGroupCols + i * 2 * n);
      for (int t = 0; t < kTokens; ++t) blocks[r][t].add(i, wi, xi[t]);
    }
  }
  for (int r = 0; r < kTileRows; ++r) {
    for (int t = 0; t < kTokens; ++t) {
      float* sum = sums + (r * kTokenBlock + t) * n;
      hn::Store(blocks[r][t].added_to(hn::Load(d, sum), scales[r], x[t].scales), d, sum);
    }
  }
}

/// `x` [groups, all_tokens]: tokens [first, first + tokens) of them.
void nvfp4_many(const PackedMatrix& w, const Nvfp4Group* x, std::int64_t all_tokens, std::int64_t first,
                std::int64_t tokens, Share::Range rows, const Sink& sink) {
  const FloatTag d;
  const WordTag d16;
  const std::int64_t groups = w.padded_cols / kGroupCols, n = lanes();
  HWY_ALIGN std::int16_t expanded[kTileRows * kGroupCols];
  HWY_ALIGN float sums[kTileRows * kTokenBlock * 16];
  for (std::int64_t tile = rows.begin / kTileRows; tile * kTileRows < rows.end; ++tile) {
    for (std::int64_t r = 0; r < kTileRows; ++r) {
      std::memset(sums + r * kTokenBlock * n, 0, static_cast<std::size_t>(tokens * n) * sizeof(float));
    }
    for (std::int64_t g = 0; g < groups; ++g) {
      const TileGroup from(w, tile, g);
      for (std::int64_t at = 0; at < kTileRows * 64; at += 4 * n) {
        expand_chunk(from.codes + at, [&](std::int64_t i, WordVec words) HWY_ATTR {
          hn::Store(words, d16, expanded + 2 * (at + i * n));
        });
      }
      const BlockScales scales[kTileRows] = {BlockScales(from.scales), BlockScales(from.scales + 8),
                                             BlockScales(from.scales + 16), BlockScales(from.scales + 24)};
      const Nvfp4Group* xg = x + g * all_tokens + first;
      std::int64_t t = 0;
      for (; t + 2 <= tokens; t += 2) nvfp4_group<2>(expanded, scales, xg + t, sums + t * n);
      if (t < tokens) nvfp4_group<1>(expanded, scales, xg + t, sums + t * n);
    }
    for (std::int64_t r = 0; r < kTileRows && tile * kTileRows + r < w.rows; ++r) {
      for (std::int64_t t = 0; t < tokens; ++t) {
        const auto sum = hn::Load(d, sums + (r * kTokenBlock + t) * n);
        sink.put(first + t, tile * kTileRows + r, sum_lanes(sum) * w.global_scale);
      }
    }
  }
}

/// The power of two that a block of sixteen activations shares.
struct BlockExponent {
  float up;    ///< brings the largest to at least 2^14 and at most 255 * 2^7
  float down;  ///< back, and through the 512 that weights carry; NaN if any activation is not finite

  explicit BlockExponent(const std::uint16_t* bits) {
    std::uint32_t largest = 0;
    for (int i = 0; i < 16; ++i) largest = std::max<std::uint32_t>(largest, bits[i] & 0x7fffu);
    const std::int32_t exponent = std::max<std::int32_t>(static_cast<std::int32_t>(largest >> 7) - 127, -100);
    const bool finite = largest < 0x7f80;
    up = finite ? std::bit_cast<float>(static_cast<std::uint32_t>(14 - exponent + 127) << 23) : 0.0f;
    down = finite ? std::bit_cast<float>(static_cast<std::uint32_t>(exponent - 23 + 127) << 23)
                  : std::numeric_limits<float>::quiet_NaN();
  }
};

/// One group of a row: `left` columns of x from here on, at least one.
void expand_group(Nvfp4Group& to, const Bf16* x, std::int64_t left) {
  const FloatTag d;
  const hn::Rebind<std::int16_t, FloatTag> d16;
  std::uint16_t bits[kGroupCols] = {};
  std::memcpy(bits, x, static_cast<std::size_t>(std::min(left, kGroupCols)) * 2);
  for (std::int64_t b = 0; b < 8; ++b) {
    const std::uint16_t* block = bits + b * 16;
    const BlockExponent exponent(block);
    std::int16_t values[16];
    for (std::int64_t e = 0; e < 16; e += lanes()) {
      const auto value = load_bf16(reinterpret_cast<const Bf16*>(block + e), lanes());
      // An infinity times zero is NaN: which integer it becomes does not matter, the scale is NaN.
      hn::StoreU(hn::DemoteTo(d16, hn::NearestInt(hn::Mul(value, hn::Set(d, exponent.up)))), d16, values + e);
    }
    for (std::int64_t pair = 0; pair < 8; ++pair) std::memcpy(to.values + pair * 16 + b * 2, values + pair * 2, 4);
    to.scales[b] = to.scales[b + 8] = exponent.down;
  }
}

void Nvfp4Multiply(const PackedMatrix& w, const Nvfp4Group* x, std::int64_t tokens, Share::Range rows, const Sink& sink) {
  if (tokens == 1) return nvfp4_one(w, x, rows, sink);
  for (std::int64_t first = 0; first < tokens; first += kTokenBlock) {
    nvfp4_many(w, x, tokens, first, std::min(kTokenBlock, tokens - first), rows, sink);
  }
}

/// Groups [begin, end) of the row-major [rows, groups] of x, stored [groups, rows]: a kernel reads
/// one group of many rows.
void ExpandGroups(Nvfp4Group* to, ConstRows x, std::int64_t begin, std::int64_t end) {
  const std::int64_t groups = (x.cols + kGroupCols - 1) / kGroupCols;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t row = i / groups, group = i % groups;
    expand_group(to[group * x.rows + row], x.row(row) + group * kGroupCols, x.cols - group * kGroupCols);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nvllm::cpu {

HWY_EXPORT(Nvfp4Multiply);
HWY_EXPORT(ExpandGroups);

void expand_nvfp4(std::byte* expanded, ConstRows x, std::int64_t padded_cols, Share& share) {
  const Share::Range part = share.part(x.rows * (padded_cols / kGroupCols));
  HWY_DYNAMIC_DISPATCH(ExpandGroups)(reinterpret_cast<Nvfp4Group*>(expanded), x, part.begin, part.end);
}

void multiply_nvfp4(const PackedMatrix& w, const std::byte* x, std::int64_t tokens, Share::Range rows, const Sink& sink) {
  HWY_DYNAMIC_DISPATCH(Nvfp4Multiply)(w, reinterpret_cast<const Nvfp4Group*>(x), tokens, rows, sink);
}

}  // namespace nvllm::cpu
#endif  // HWY_ONCE
