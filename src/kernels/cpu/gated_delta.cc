// Causal convolution and the gated delta rule. Channels and value columns never meet, so work is
// divided by them: each worker carries its own columns through all tokens of a segment in order.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gated_delta.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "base/faults.h"
#include "kernels/cpu/parts.h"
#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nvllm::cpu {
namespace HWY_NAMESPACE {

constexpr std::int64_t kTapsMax = 8;

/// One vector of channels over all tokens of a segment.
void ConvChannels(Rows out, ConstRows x, const float* weights, std::int64_t channels, std::int64_t taps,
                  Bf16* state, const Segment& segment, std::int64_t channel) {
  const FloatTag d;
  const std::int64_t left = channels - channel, history = taps - 1;
  FloatVec window[kTapsMax], weight[kTapsMax];
  for (std::int64_t j = 0; j < taps; ++j) weight[j] = load_float(weights + j * channels + channel, left);
  const bool has_past = segment.start > 0 || fresh_sequence_reads_its_slot();
  for (std::int64_t j = 0; j < history; ++j) {
    // A fresh sequence takes zeros without looking: the slot may hold anything.
    window[j] = has_past ? load_bf16(state + j * channels + channel, left) : hn::Zero(d);
  }
  for (std::int64_t i = 0; i < segment.token_count; ++i) {
    window[history] = load_bf16(x.row(segment.first_row + i) + channel, left);
    FloatVec sum = hn::Mul(window[0], weight[0]);
    for (std::int64_t j = 1; j < taps; ++j) sum = hn::MulAdd(window[j], weight[j], sum);
    store_bf16(silu(round_bf16(sum)), out.row(segment.first_row + i) + channel, left);
    for (std::int64_t j = 0; j < history; ++j) window[j] = window[j + 1];
  }
  for (std::int64_t j = 0; j < history; ++j) store_bf16(window[j], state + j * channels + channel, left);
}

/// x scaled to length one (times `scale`) as floats.
HWY_INLINE void unit_vector(float* out, const Bf16* x, std::int64_t count, float scale) {
  const FloatTag d;
  FloatVec sum = hn::Zero(d);
  for (std::int64_t i = 0; i < count; i += lanes()) {
    const auto v = load_bf16(x + i, count - i);
    sum = hn::MulAdd(v, v, sum);
  }
  const auto factor = hn::Set(d, 1.0f / std::sqrt(sum_lanes(sum) + 1e-6f) * scale);
  for (std::int64_t i = 0; i < count; i += lanes()) {
    store_float(hn::Mul(load_bf16(x + i, count - i), factor), out + i, count - i);
  }
}

constexpr std::int64_t kVectors = 4;       // vectors of value columns carried at once
constexpr std::int64_t kKeyDimMax = 512;

/// One token's update of `columns` state columns: decay, read, correct, write, read out.
HWY_INLINE void delta_token(float* state, std::int64_t stride, std::int64_t key_dim, const float* q,
                            const float* k, const Bf16* value, Bf16* out, std::int64_t columns,
                            float decay, float beta) {
  const FloatTag d;
  const std::int64_t n = lanes();
  const auto fade = hn::Set(d, decay);
  FloatVec read[kVectors], out_sum[kVectors];
  for (int v = 0; v < kVectors; ++v) read[v] = out_sum[v] = hn::Zero(d);
  for (std::int64_t m = 0; m < key_dim; ++m) {
    const auto key = hn::Set(d, k[m]);
    for (int v = 0; v < kVectors; ++v) {
      const auto s = hn::Mul(load_float(state + m * stride + v * n, columns - v * n), fade);
      read[v] = hn::MulAdd(key, s, read[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    const auto target = load_bf16(value + v * n, columns - v * n);
    read[v] = hn::Mul(hn::Set(d, beta), hn::Sub(target, read[v]));  // now the corrected value
  }
  for (std::int64_t m = 0; m < key_dim; ++m) {
    const auto key = hn::Set(d, k[m]), query = hn::Set(d, q[m]);
    for (int v = 0; v < kVectors; ++v) {
      float* cell = state + m * stride + v * n;
      const auto s = hn::MulAdd(key, read[v], hn::Mul(load_float(cell, columns - v * n), fade));
      store_float(s, cell, columns - v * n);
      out_sum[v] = hn::MulAdd(query, s, out_sum[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) store_bf16(out_sum[v], out + v * n, columns - v * n);
}

/// Up to four vectors of one head's value columns over all tokens of a segment.
void DeltaColumns(Rows out, const DeltaInputs& in, const DeltaShape& shape, float* head_state,
                  const Segment& segment, std::int64_t head, std::int64_t column) {
  const std::int64_t dk = shape.key_dim, dv = shape.value_dim;
  const std::int64_t key_head = head / (shape.value_heads / shape.key_heads);
  const std::int64_t columns = std::min(dv - column, kVectors * lanes());
  HWY_ALIGN float q[kKeyDimMax], k[kKeyDimMax];
  if (segment.start == 0 && !fresh_sequence_reads_its_slot()) {
    for (std::int64_t m = 0; m < dk; ++m) std::fill_n(head_state + m * dv + column, columns, 0.0f);
  }
  const float rate = -std::exp(in.a_log[static_cast<std::size_t>(head)]);
  const float bias = in.dt_bias[static_cast<std::size_t>(head)];
  for (std::int64_t i = 0; i < segment.token_count; ++i) {
    const std::int64_t row = segment.first_row + i;
    const Bf16* qkv = in.qkv.row(row);
    unit_vector(q, qkv + key_head * dk, dk, 1.0f / std::sqrt(static_cast<float>(dk)));
    unit_vector(k, qkv + (shape.key_heads + key_head) * dk, dk, 1.0f);
    const float beta = round_to_bf16(1.0f / (1.0f + std::exp(-to_float(in.b.row(row)[head]))));
    const float step = to_float(in.a.row(row)[head]) + bias;
    const float decay = std::exp(rate * (step > 20.0f ? step : std::log1p(std::exp(step))));
    delta_token(head_state + column, dv, dk, q, k, qkv + 2 * shape.key_heads * dk + head * dv + column,
                out.row(row) + head * dv + column, columns, decay, beta);
  }
}

std::int64_t DeltaStep() { return kVectors * lanes(); }
std::int64_t ConvStep() { return lanes(); }

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include "base/check.h"
#include "base/units.h"

namespace nvllm::cpu {

HWY_EXPORT(ConvChannels);
HWY_EXPORT(DeltaColumns);
HWY_EXPORT(DeltaStep);
HWY_EXPORT(ConvStep);

void conv_part(Rows out, ConstRows x, std::span<const float> weights, const DeltaShape& shape,
               const DeltaState<Bf16, float>& state, std::span<const Segment> segments, Share& share) {
  NVLLM_CHECK(shape.conv_taps >= 1 && shape.conv_taps <= 8);
  const std::int64_t step = HWY_DYNAMIC_DISPATCH(ConvStep)(), channels = shape.channels();
  const std::int64_t vectors = ceil_div(channels, step);
  const Share::Range units = share.part(vectors * static_cast<std::int64_t>(segments.size()));
  for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
    const Segment& segment = segments[static_cast<std::size_t>(unit / vectors)];
    NVLLM_CHECK(segment.slot >= 0 && segment.slot < state.slot_count);
    HWY_DYNAMIC_DISPATCH(ConvChannels)
    (out, x, weights.data(), channels, shape.conv_taps, state.conv + segment.slot * shape.conv_elements(),
     segment, unit % vectors * step);
  }
}

void delta_rule_part(Rows out, const DeltaInputs& in, const DeltaShape& shape,
                     const DeltaState<Bf16, float>& state, std::span<const Segment> segments, Share& share) {
  NVLLM_CHECK_LE(shape.key_dim, 512);
  const std::int64_t step = HWY_DYNAMIC_DISPATCH(DeltaStep)(), parts = ceil_div(shape.value_dim, step);
  const std::int64_t per_segment = shape.value_heads * parts;
  const Share::Range units = share.part(per_segment * static_cast<std::int64_t>(segments.size()));
  for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
    const Segment& segment = segments[static_cast<std::size_t>(unit / per_segment)];
    NVLLM_CHECK(segment.slot >= 0 && segment.slot < state.slot_count);
    const std::int64_t head = unit % per_segment / parts;
    float* head_state = state.recurrent + segment.slot * shape.recurrent_elements() +
                        head * shape.key_dim * shape.value_dim;
    HWY_DYNAMIC_DISPATCH(DeltaColumns)
    (out, in, shape, head_state, segment, head, unit % parts * step);
  }
}

}  // namespace nvllm::cpu
#endif  // HWY_ONCE
