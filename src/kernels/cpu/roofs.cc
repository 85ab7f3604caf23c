// The read sweep and the dot roofs, with as many independent chains as hide the latency of an
// addition (four) or a fused multiply-add (eight).

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/roofs.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/roofs.h"
#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nvllm::cpu {
namespace HWY_NAMESPACE {

constexpr std::int64_t kChains = 8;

std::uint64_t Sweep(const std::byte* data, std::int64_t bytes) {
  const hn::CappedTag<std::uint64_t, 8> d;
  const std::int64_t n = static_cast<std::int64_t>(hn::Lanes(d)) * 8;
  auto a = hn::Zero(d), b = a, c = a, e = a;
  std::int64_t at = 0;
  const auto load = [&](std::int64_t i) HWY_ATTR {
    return hn::LoadU(d, reinterpret_cast<const std::uint64_t*>(data + at + i * n));
  };
  for (; at + 4 * n <= bytes; at += 4 * n) {
    a = hn::Add(a, load(0));
    b = hn::Add(b, load(1));
    c = hn::Add(c, load(2));
    e = hn::Add(e, load(3));
  }
  std::uint64_t sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e))));
  for (; at < bytes; ++at) sum += static_cast<std::uint64_t>(data[at]);
  return sum;
}

/// One pass multiplies `vectors` vectors of x, a multiple of kChains, by one of w.
float FloatDots(const float* w, const float* x, std::int64_t vectors, std::int64_t passes) {
  const FloatTag d;
  const std::int64_t n = lanes();
  FloatVec s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  for (std::int64_t pass = 0; pass < passes; ++pass) {
    const auto weight = hn::Load(d, w + pass % kChains * n);
    for (std::int64_t i = 0; i < vectors; i += kChains) {
      const float* at = x + i * n;
      s0 = hn::MulAdd(weight, hn::Load(d, at), s0);
      s1 = hn::MulAdd(weight, hn::Load(d, at + n), s1);
      s2 = hn::MulAdd(weight, hn::Load(d, at + 2 * n), s2);
      s3 = hn::MulAdd(weight, hn::Load(d, at + 3 * n), s3);
      s4 = hn::MulAdd(weight, hn::Load(d, at + 4 * n), s4);
      s5 = hn::MulAdd(weight, hn::Load(d, at + 5 * n), s5);
      s6 = hn::MulAdd(weight, hn::Load(d, at + 6 * n), s6);
      s7 = hn::MulAdd(weight, hn::Load(d, at + 7 * n), s7);
    }
  }
  const auto low = hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), high = hn::Add(hn::Add(s4, s5), hn::Add(s6, s7));
  return sum_lanes(hn::Add(low, high));
}

/// The same in 16-bit integers, twice as many to a vector. The sums wrap around, which costs nothing.
float Int16Dots(const std::int16_t* w, const std::int16_t* x, std::int64_t vectors, std::int64_t passes) {
  const hn::Repartition<std::int16_t, FloatTag> d;
  const hn::Repartition<std::int32_t, FloatTag> d32;
  const std::int64_t n = 2 * lanes();
  auto s0 = hn::Zero(d32), s1 = s0, s2 = s0, s3 = s0, o0 = s0, o1 = s0, o2 = s0, o3 = s0;
  for (std::int64_t pass = 0; pass < passes; ++pass) {
    const auto weight = hn::Load(d, w + pass % kChains * n);
    for (std::int64_t i = 0; i < vectors; i += kChains) {
      for (const std::int64_t at : {i * n, (i + 4) * n}) {
        s0 = hn::ReorderWidenMulAccumulate(d32, weight, hn::Load(d, x + at), s0, o0);
        s1 = hn::ReorderWidenMulAccumulate(d32, weight, hn::Load(d, x + at + n), s1, o1);
        s2 = hn::ReorderWidenMulAccumulate(d32, weight, hn::Load(d, x + at + 2 * n), s2, o2);
        s3 = hn::ReorderWidenMulAccumulate(d32, weight, hn::Load(d, x + at + 3 * n), s3, o3);
      }
    }
  }
  const auto sum = hn::Add(hn::Add(hn::Add(s0, o0), hn::Add(s1, o1)), hn::Add(hn::Add(s2, o2), hn::Add(s3, o3)));
  return static_cast<float>(hn::GetLane(hn::SumOfLanes(d32, sum)));
}

std::int64_t VectorLanes() { return lanes(); }

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <array>
#include <atomic>

#include "kernels/cpu/bf16_dot.h"

namespace nvllm::cpu {

HWY_EXPORT(Sweep);
HWY_EXPORT(FloatDots);
HWY_EXPORT(Int16Dots);
HWY_EXPORT(VectorLanes);

std::uint64_t read_sweep(std::span<const std::byte> data, WorkerPool& pool) {
  std::atomic<std::uint64_t> sum{0};
  pool.run([&](Share& share) {
    const Share::Range range = share.part(static_cast<std::int64_t>(data.size()));
    sum += HWY_DYNAMIC_DISPATCH(Sweep)(data.data() + range.begin, range.end - range.begin);
  });
  return sum;
}

namespace {

/// Operands small enough for a quarter of first-level cache.
template <class Number>
struct Operands {
  static constexpr std::int64_t kVectors = 128;
  alignas(64) std::array<Number, kVectors * 64 / sizeof(Number)> x;
  alignas(64) std::array<Number, 8 * 64 / sizeof(Number)> w;

  Operands() {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<Number>(i % 7);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<Number>(i % 2);
  }
};

}  // namespace

DotUnit dot_unit(PackedFormat format) {
  switch (format) {
    case PackedFormat::kNvfp4: return DotUnit::kInt16;
    case PackedFormat::kNvfp4Dot:
    case PackedFormat::kFp8Dot:
    case PackedFormat::kBf16Dot: return DotUnit::kBf16;
    case PackedFormat::kFp8:
    case PackedFormat::kBf16: break;
  }
  return DotUnit::kFloat;
}

std::int64_t dot_roof(DotUnit unit, std::int64_t multiply_adds, WorkerPool& pool) {
  const std::int64_t width = HWY_DYNAMIC_DISPATCH(VectorLanes)() * (unit == DotUnit::kFloat ? 1 : 2);
  const std::int64_t per_pass = Operands<float>::kVectors * width;
  const std::int64_t passes = multiply_adds / (per_pass * pool.workers()) + 1;
  std::atomic<std::int64_t> done{0};
  pool.run([&](Share&) {
    float sum = 0;
    if (unit == DotUnit::kFloat) {
      const Operands<float> o;
      sum = HWY_DYNAMIC_DISPATCH(FloatDots)(o.w.data(), o.x.data(), o.kVectors, passes);
    } else if (unit == DotUnit::kBf16) {
      const Operands<Bf16> o;
      sum = bf16_dots(o.w.data(), o.x.data(), o.kVectors, passes);
    } else {
      const Operands<std::int16_t> o;
      sum = HWY_DYNAMIC_DISPATCH(Int16Dots)(o.w.data(), o.x.data(), o.kVectors, passes);
    }
    // The sum is read, so that the work cannot be left out; it is a number by construction.
    if (sum == sum) done += passes * per_pass;
  });
  return done;
}

}  // namespace nvllm::cpu
#endif  // HWY_ONCE
