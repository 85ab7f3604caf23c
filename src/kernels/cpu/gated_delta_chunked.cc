// The gated delta rule in chunks, as src/kernels/reference/gated_delta_chunked.cc derives it, with one
// change: the reads of the state are taken off before the substitution, so one solve gives the corrected
// values where U - W S takes two. Row i of the chunk is then
//
//   n_i = β_i (v_i - d_i k̂_i S - Σ_{j<i} (k̂_i · k̂_j) D_ij n_j)
//   o_i = d_i q̂_i S + Σ_{j≤i} (q̂_i · k̂_j) D_ij n_j
//
// and the state is written once, after the last row. Value heads never meet: they divide the work.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gated_delta_chunked.cc"
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

HWY_INLINE float dot(const float* x, const float* y, std::int64_t count) {
  FloatVec sum = hn::Zero(FloatTag());
  for (std::int64_t i = 0; i < count; i += lanes()) {
    sum = hn::MulAdd(load_float(x + i, count - i), load_float(y + i, count - i), sum);
  }
  return sum_lanes(sum);
}

/// y += factor * x.
HWY_INLINE void add_scaled(float* y, float factor, const float* x, std::int64_t count) {
  const auto by = hn::Set(FloatTag(), factor);
  for (std::int64_t i = 0; i < count; i += lanes()) {
    store_float(hn::MulAdd(by, load_float(x + i, count - i), load_float(y + i, count - i)), y + i, count - i);
  }
}

/// y *= factor.
HWY_INLINE void scale(float* y, float factor, std::int64_t count) {
  const auto by = hn::Set(FloatTag(), factor);
  for (std::int64_t i = 0; i < count; i += lanes())
    store_float(hn::Mul(by, load_float(y + i, count - i)), y + i, count - i);
}

HWY_INLINE void widen(float* out, const Bf16* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += lanes()) store_float(load_bf16(x + i, count - i), out + i, count - i);
}

HWY_INLINE void narrow(Bf16* out, const float* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += lanes()) store_bf16(load_float(x + i, count - i), out + i, count - i);
}

/// x scaled to length one (times `length`), as the recurrence does it.
HWY_INLINE void unit_row(float* out, const Bf16* x, std::int64_t count, float length) {
  widen(out, x, count);
  scale(out, 1.0f / std::sqrt(dot(out, out, count) + 1e-6f) * length, count);
}

/// One value head's room for a chunk, and what does not change between its chunks.
struct ChunkRoom {
  std::int64_t key_dim, value_dim;
  float* keys;    ///< [chunk_tokens, key_dim], unit length
  float* values;  ///< [chunk_tokens, value_dim], corrected
  float* decay;   ///< [chunk_tokens]: from token j to the current one
  float* query;   ///< [key_dim]
  float* output;  ///< [value_dim]
};

/// What one token brings.
struct TokenInputs {
  const Bf16 *query, *key, *value;
  float beta, fade;
  Bf16* out;
};

/// Row i of a chunk: its corrected value and its output. `from_start` is d_i.
void ChunkRow(const ChunkRoom& room, std::int64_t i, const TokenInputs& token, float from_start, const float* state) {
  const std::int64_t dk = room.key_dim, dv = room.value_dim;
  float* key = room.keys + i * dk;
  float* value = room.values + i * dv;
  unit_row(room.query, token.query, dk, 1.0f / std::sqrt(static_cast<float>(dk)));
  unit_row(key, token.key, dk, 1.0f);
  scale(room.decay, token.fade, i);
  room.decay[i] = 1.0f;

  widen(value, token.value, dv);
  std::fill_n(room.output, dv, 0.0f);
  for (std::int64_t m = 0; m < dk; ++m) {
    add_scaled(value, -from_start * key[m], state + m * dv, dv);
    add_scaled(room.output, from_start * room.query[m], state + m * dv, dv);
  }
  for (std::int64_t j = 0; j < i; ++j) {
    add_scaled(value, -dot(key, room.keys + j * dk, dk) * room.decay[j], room.values + j * dv, dv);
  }
  scale(value, token.beta, dv);
  for (std::int64_t j = 0; j <= i; ++j) {
    add_scaled(room.output, dot(room.query, room.keys + j * dk, dk) * room.decay[j], room.values + j * dv, dv);
  }
  narrow(token.out, room.output, dv);
}

/// The state after the chunk: what is left of it, and what its tokens wrote.
void AdvanceState(float* state, const ChunkRoom& room, std::int64_t tokens, float from_start) {
  scale(state, from_start, room.key_dim * room.value_dim);
  for (std::int64_t j = 0; j < tokens; ++j) {
    for (std::int64_t m = 0; m < room.key_dim; ++m) {
      add_scaled(state + m * room.value_dim, room.decay[j] * room.keys[j * room.key_dim + m],
                 room.values + j * room.value_dim, room.value_dim);
    }
  }
}

/// One value head over all tokens of a segment.
void DeltaChunks(Rows out, const DeltaInputs& in, const DeltaShape& shape, float* state, const Segment& segment,
                 std::int64_t head, std::int64_t chunk_tokens, float* scratch) {
  const std::int64_t dk = shape.key_dim, dv = shape.value_dim;
  const std::int64_t key_head = head / (shape.value_heads / shape.key_heads);
  const ChunkRoom room = {dk,
                          dv,
                          scratch,
                          scratch + chunk_tokens * dk,
                          scratch + chunk_tokens * (dk + dv),
                          scratch + chunk_tokens * (dk + dv + 1),
                          scratch + chunk_tokens * (dk + dv + 1) + dk};
  // Never read: the slot may hold anything.
  if (segment.start == 0 && !fresh_sequence_reads_its_slot()) std::fill_n(state, dk * dv, 0.0f);
  const float rate = -std::exp(in.a_log[static_cast<std::size_t>(head)]);
  const float bias = in.dt_bias[static_cast<std::size_t>(head)];
  for (std::int64_t at = 0; at < segment.token_count; at += chunk_tokens) {
    const std::int64_t tokens = std::min(chunk_tokens, segment.token_count - at);
    float from_start = 1.0f;
    for (std::int64_t i = 0; i < tokens; ++i) {
      const std::int64_t row = segment.first_row + at + i;
      const Bf16* qkv = in.qkv.row(row);
      const float step = to_float(in.a.row(row)[head]) + bias;
      TokenInputs token = {.query = qkv + key_head * dk,
                           .key = qkv + (shape.key_heads + key_head) * dk,
                           .value = qkv + 2 * shape.key_heads * dk + head * dv,
                           .beta = round_to_bf16(1.0f / (1.0f + std::exp(-to_float(in.b.row(row)[head])))),
                           .fade = std::exp(rate * (step > 20.0f ? step : std::log1p(std::exp(step)))),
                           .out = out.row(row) + head * dv};
      from_start *= token.fade;
      ChunkRow(room, i, token, from_start, state);
    }
    AdvanceState(state, room, tokens, from_start);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nvllm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <vector>

#include "base/check.h"
#include "kernels/cpu/cpu_ops.h"

namespace nvllm {

namespace cpu {

HWY_EXPORT(DeltaChunks);

std::int64_t delta_chunk_floats(const DeltaShape& shape, std::int64_t chunk_tokens) {
  return (chunk_tokens + 1) * (shape.key_dim + shape.value_dim) + chunk_tokens;
}

void delta_rule_chunked_part(Rows out, const DeltaInputs& in, const DeltaShape& shape,
                             const DeltaState<Bf16, float>& state, std::span<const Segment> segments,
                             std::int64_t chunk_tokens, float* scratch, Share& share) {
  const std::int64_t heads = shape.value_heads;
  const Share::Range units = share.part(heads * static_cast<std::int64_t>(segments.size()));
  for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
    const Segment& segment = segments[static_cast<std::size_t>(unit / heads)];
    NVLLM_CHECK(segment.slot >= 0 && segment.slot < state.slot_count);
    const std::int64_t head = unit % heads;
    float* head_state =
        state.recurrent + segment.slot * shape.recurrent_elements() + head * shape.key_dim * shape.value_dim;
    HWY_DYNAMIC_DISPATCH(DeltaChunks)(out, in, shape, head_state, segment, head, chunk_tokens, scratch);
  }
}

}  // namespace cpu

void CpuOps::delta_rule_chunked(View<Bf16> out, View<const Bf16> qkv, View<const Bf16> b, View<const Bf16> a,
                                std::span<const float> a_log, std::span<const float> dt_bias,
                                const DeltaContext<CpuOps>& c, std::int64_t chunk_tokens) {
  const DeltaShape& s = c.shape;
  NVLLM_CHECK_GE(chunk_tokens, 1);
  NVLLM_CHECK_EQ(qkv.cols, s.channels());
  NVLLM_CHECK_EQ(out.cols, s.value_heads * s.value_dim);
  NVLLM_CHECK(b.cols == s.value_heads && a.cols == s.value_heads);
  NVLLM_CHECK(std::ssize(a_log) == s.value_heads && std::ssize(dt_bias) == s.value_heads);
  const std::int64_t room = cpu::delta_chunk_floats(s, chunk_tokens);
  std::vector<float> scratch(static_cast<std::size_t>(pool_.workers() * room));
  pool_.run([&](cpu::Share& share) {
    cpu::delta_rule_chunked_part(out, {qkv, b, a, a_log, dt_bias}, s, c.state, c.segments, chunk_tokens,
                                 scratch.data() + share.worker() * room, share);
  });
}

}  // namespace nvllm
#endif  // HWY_ONCE
