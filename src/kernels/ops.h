#pragma once

// The vocabulary: what a backend must be able to say. The meaning of each word is written here,
// once; backends differ in speed and in where they round, which their own headers state.
//
// Dimensions: tokens (rows of the step), hidden, heads, kv_heads, head_dim, channels, slots, blocks,
// vocab. Activations are views [tokens, width] of B::Real; a Segment says which rows belong to whom.

#include <concepts>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/fusion_plan.h"
#include "kernels/segment.h"
#include "tensor/matrix_source.h"
#include "tensor/view.h"

namespace nvllm {

/// How a norm's gain enters: plain multiplies by w, zero-centred by 1 + w (Qwen3.5).
enum class NormStyle { kPlain, kZeroCentred };

/// A norm's parameters. Borrowed.
struct NormWeights {
  std::span<const float> gain;
  float epsilon = 1e-6f;
  NormStyle style = NormStyle::kPlain;
};

/// Cosines and sines of the step's positions, [tokens, rotary_dims / 2] each.
template <class Angle>
struct RotaryTable {
  View<const Angle> cosine;
  View<const Angle> sine;
};

/// What makes positions into angles.
struct RotaryFrequencies {
  std::vector<double> inverse;  ///< [rotary_dims / 2]
  double magnitude = 1.0;       ///< multiplies cosine and sine (yarn's attention factor)
};

/// What a word about a layer's attention needs besides activations. Borrowed.
template <class B>
struct AttentionContext {
  AttentionShape shape;
  std::span<const Segment> segments;
  KvCache<typename B::Kv> cache;
  RotaryTable<typename B::Angle> rotary;
};

/// What a word about a DeltaNet layer needs besides activations. Borrowed.
template <class B>
struct DeltaContext {
  DeltaShape shape;
  std::span<const Segment> segments;
  DeltaState<typename B::Real, typename B::State> state;
};

/// What projections of the same input are to each other; for backends that lay them together.
enum class Stacking {
  kInputs,           ///< of a layer's mixing
  kAttentionGateUp,  ///< of the MLP of a full-attention layer
  kDeltaGateUp,      ///< of the MLP of a DeltaNet layer
};

/// A backend. Every method aborts on disagreeing shapes; none allocates.
template <class B>
concept Ops = requires(
    B& ops, const MatrixSource& file, const typename B::Matrix& w, View<typename B::Real> out,
    View<const typename B::Real> x, View<float> logits, View<typename B::Angle> angles,
    std::span<const std::int32_t> ids, std::span<const float> floats, const NormWeights& norm,
    const RotaryFrequencies& frequencies, const AttentionContext<B>& attention,
    const DeltaContext<B>& delta, std::int64_t count) {
  /// Takes a matrix from its file form into the backend's own, once, at load.
  { ops.prepare(file) } -> std::same_as<typename B::Matrix>;
  /// out[t] = row ids[t] of the table.  Shapes: out [tokens, hidden]; table [vocab, hidden].
  { ops.embed(out, w, ids) } -> std::same_as<void>;
  /// Scales each row to unit root-mean-square, then by the gain. `out` may alias `x`.
  ///   Source: Zhang & Sennrich 2019.
  { ops.rms_norm(out, x, norm) } -> std::same_as<void>;
  /// The same for every head of head_dim columns within a row.
  { ops.head_norm(out, count, norm) } -> std::same_as<void>;
  /// out = x · Wᵀ (+ bias, if not empty).  Shapes: out [tokens, rows]; x [tokens, cols].
  { ops.matmul(out, x, w, floats) } -> std::same_as<void>;
  /// The same into floats, unrounded: the output head.
  { ops.logits(logits, x, w) } -> std::same_as<void>;
  /// residual += x.
  { ops.add(out, x) } -> std::same_as<void>;
  /// out = silu(gate) * up.
  { ops.swiglu(out, x, x) } -> std::same_as<void>;
  /// Splits [heads, 2, head_dim] rows into queries and gates, each [heads, head_dim].
  { ops.split_gate(out, out, x, count) } -> std::same_as<void>;
  /// Cosines and sines of the positions of all segments.
  { ops.rotary_angles(angles, angles, std::span<const Segment>{}, frequencies) } -> std::same_as<void>;
  /// Turns the first rotary_dims of each of `count` heads, pairing (j, j + rotary_dims / 2).
  ///   Source: Su et al. 2021, half-split pairing as in Hugging Face transformers.
  { ops.rope(out, count, attention) } -> std::same_as<void>;
  /// Writes keys and values of all rows into their sequences' blocks.
  { ops.write_kv(attention, x, x) } -> std::same_as<void>;
  /// Causal softmax(q · Kᵀ / sqrt(head_dim)) · V with grouped heads. Positions beyond a row's own are
  /// never read, so freed blocks may hold anything.
  { ops.paged_attention(out, x, attention) } -> std::same_as<void>;
  /// out *= sigmoid(gate).
  { ops.output_gate(out, x) } -> std::same_as<void>;
  /// Depthwise causal convolution of conv_taps taps, then silu; advances the convolution state.
  ///   Shapes: out, x [tokens, channels]; weights [taps, channels], the last tap for the current token.
  { ops.causal_conv(out, x, floats, delta) } -> std::same_as<void>;
  /// The gated delta rule by recurrence for every token; advances the recurrent state.
  ///   Shapes: out [tokens, value_heads * value_dim]; qkv [tokens, channels]; b, a [tokens, value_heads];
  ///   a_log, dt_bias [value_heads].
  ///   Source: Yang et al. 2024 (Gated DeltaNet); order of operations as in docs/decisions/0001-one-arithmetic.md.
  { ops.delta_rule(out, x, x, x, floats, floats, delta) } -> std::same_as<void>;
  /// Per value head: rms_norm with plain gain, times silu(z). `out` may alias `x`.
  { ops.gated_norm(out, x, x, count, norm) } -> std::same_as<void>;
};

}  // namespace nvllm
