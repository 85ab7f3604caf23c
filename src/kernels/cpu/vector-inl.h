// Loads and stores shared by the vector kernels. Included once per SIMD target.

#if defined(NVLLM_KERNELS_CPU_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NVLLM_KERNELS_CPU_VECTOR_INL_H_
#undef NVLLM_KERNELS_CPU_VECTOR_INL_H_
#else
#define NVLLM_KERNELS_CPU_VECTOR_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace nvllm::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Sixteen floats at most: layouts and local buffers are sized for it, whatever the target could do.
using FloatTag = hn::CappedTag<float, 16>;
using FloatVec = hn::Vec<FloatTag>;

HWY_INLINE std::int64_t lanes() { return static_cast<std::int64_t>(hn::Lanes(FloatTag())); }

/// The first min(lanes, left) values; the others are zero.
HWY_INLINE FloatVec load_bf16(const Bf16* from, std::int64_t left) {
  const FloatTag d;
  const hn::Rebind<std::uint16_t, FloatTag> d16;
  const hn::Rebind<std::uint32_t, FloatTag> d32;
  const auto widen = [&](const std::uint16_t* p) HWY_ATTR {
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, p))));
  };
  if (HWY_LIKELY(left >= lanes())) return widen(reinterpret_cast<const std::uint16_t*>(from));
  HWY_ALIGN std::uint16_t padded[16] = {};
  if (left > 0) std::memcpy(padded, from, static_cast<std::size_t>(left) * 2);
  return widen(padded);
}

/// Rounds to nearest even and stores the first min(lanes, left) values.
HWY_INLINE void store_bf16(FloatVec value, Bf16* to, std::int64_t left) {
  const hn::Rebind<std::uint16_t, FloatTag> d16;
  const hn::Rebind<std::uint32_t, FloatTag> d32;
  const auto bits = hn::BitCast(d32, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7fff))));
  const auto narrow = hn::TruncateTo(d16, rounded);
  if (HWY_LIKELY(left >= lanes())) {
    hn::StoreU(narrow, d16, reinterpret_cast<std::uint16_t*>(to));
    return;
  }
  HWY_ALIGN std::uint16_t padded[16];
  hn::StoreU(narrow, d16, padded);
  if (left > 0) std::memcpy(to, padded, static_cast<std::size_t>(left) * 2);
}

HWY_INLINE FloatVec load_float(const float* from, std::int64_t left) {
  const FloatTag d;
  if (HWY_LIKELY(left >= lanes())) return hn::LoadU(d, from);
  HWY_ALIGN float padded[16] = {};
  if (left > 0) std::memcpy(padded, from, static_cast<std::size_t>(left) * 4);
  return hn::LoadU(d, padded);
}

HWY_INLINE void store_float(FloatVec value, float* to, std::int64_t left) {
  const FloatTag d;
  if (HWY_LIKELY(left >= lanes())) {
    hn::StoreU(value, d, to);
    return;
  }
  HWY_ALIGN float padded[16];
  hn::StoreU(value, d, padded);
  if (left > 0) std::memcpy(to, padded, static_cast<std::size_t>(left) * 4);
}

/// The float that BF16 rounding leaves.
HWY_INLINE FloatVec round_bf16(FloatVec value) {
  const hn::Rebind<std::uint32_t, FloatTag> d32;
  const auto bits = hn::BitCast(d32, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7fff)));
  return hn::BitCast(FloatTag(), hn::And(rounded, hn::Set(d32, 0xffff0000u)));
}

HWY_INLINE FloatVec sigmoid(FloatVec x) {
  const FloatTag d;
  const auto one = hn::Set(d, 1.0f);
  // Below -87 exp(-x) overflows to infinity and the quotient is zero, as it should be.
  return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 87.0f)))));
}

HWY_INLINE FloatVec silu(FloatVec x) { return hn::Mul(x, sigmoid(x)); }

HWY_INLINE float sum_lanes(FloatVec v) {
  const FloatTag d;
  return hn::GetLane(hn::SumOfLanes(d, v));
}

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard
