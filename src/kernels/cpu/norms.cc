// The three norms. Sums of squares run over whole vectors in order of columns, then over lanes.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norms.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "kernels/cpu/parts.h"
#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nvllm::cpu {
namespace HWY_NAMESPACE {

HWY_INLINE float inverse_rms(const Bf16* x, std::int64_t width, float epsilon) {
  const FloatTag d;
  FloatVec sum = hn::Zero(d);
  for (std::int64_t i = 0; i < width; i += lanes()) {
    const auto v = load_bf16(x + i, width - i);
    sum = hn::MulAdd(v, v, sum);
  }
  return 1.0f / std::sqrt(sum_lanes(sum) / static_cast<float>(width) + epsilon);
}

void NormRow(Bf16* out, const Bf16* x, std::int64_t width, const NormWeights& norm) {
  const FloatTag d;
  const auto scale = hn::Set(d, inverse_rms(x, width, norm.epsilon));
  for (std::int64_t i = 0; i < width; i += lanes()) {
    const std::int64_t left = width - i;
    const auto unit = hn::Mul(load_bf16(x + i, left), scale);
    const auto gain = load_float(norm.gain.data() + i, left);
    // Zero-centred gains round once, plain gains twice: that is how the families define them.
    const auto y = norm.style == NormStyle::kZeroCentred ? hn::Mul(unit, hn::Add(hn::Set(d, 1.0f), gain))
                                                         : hn::Mul(gain, round_bf16(unit));
    store_bf16(y, out + i, left);
  }
}

void GatedNormRow(Bf16* out, const Bf16* x, const Bf16* z, std::int64_t width, const NormWeights& norm) {
  const FloatTag d;
  const auto scale = hn::Set(d, inverse_rms(x, width, norm.epsilon));
  for (std::int64_t i = 0; i < width; i += lanes()) {
    const std::int64_t left = width - i;
    const auto unit = round_bf16(hn::Mul(load_bf16(x + i, left), scale));
    const auto scaled = round_bf16(hn::Mul(load_float(norm.gain.data() + i, left), unit));
    store_bf16(hn::Mul(scaled, silu(load_bf16(z + i, left))), out + i, left);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nvllm::cpu {

HWY_EXPORT(NormRow);
HWY_EXPORT(GatedNormRow);

void rms_norm_part(Rows out, ConstRows x, const NormWeights& norm, Share& share) {
  const Share::Range rows = share.part(x.rows);
  for (std::int64_t t = rows.begin; t < rows.end; ++t) {
    HWY_DYNAMIC_DISPATCH(NormRow)(out.row(t), x.row(t), x.cols, norm);
  }
}

void head_norm_part(Rows x, std::int64_t heads, const NormWeights& norm, Share& share) {
  const std::int64_t width = x.cols / heads;
  const Share::Range units = share.part(x.rows * heads);
  for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
    Bf16* head = x.row(unit / heads) + unit % heads * width;
    HWY_DYNAMIC_DISPATCH(NormRow)(head, head, width, norm);
  }
}

void gated_norm_part(Rows out, ConstRows x, ConstRows z, std::int64_t heads, const NormWeights& norm, Share& share) {
  const std::int64_t width = x.cols / heads;
  const Share::Range units = share.part(x.rows * heads);
  for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
    const std::int64_t t = unit / heads, at = unit % heads * width;
    HWY_DYNAMIC_DISPATCH(GatedNormRow)(out.row(t) + at, x.row(t) + at, z.row(t) + at, width, norm);
  }
}

}  // namespace nvllm::cpu
#endif  // HWY_ONCE
