#pragma once

// What the phrases of one layer need: its weights in the backend's own form, and room for the
// activations between two words. The model owns both; phrases borrow.

#include "kernels/ops.h"
#include "tensor/float_vector.h"

namespace nvllm {

/// A norm's gain with its rule; owns the numbers.
struct NormParameters {
  FloatVector gain;
  float epsilon = 1e-6f;
  NormStyle style = NormStyle::kPlain;
  NormWeights view() const { return {gain, epsilon, style}; }
};

/// A linear module: matrix and optional bias (empty: none).
template <class B>
struct Linear {
  typename B::Matrix weight;
  FloatVector bias;
};

template <class B>
struct AttentionWeights {
  NormParameters input_norm;
  Linear<B> q_proj, k_proj, v_proj, o_proj;
  NormParameters q_norm, k_norm;  ///< empty gain: the family has none
  bool output_gate = false;       ///< q_proj yields [heads, 2, head_dim]: query and gate
  float key_scale = 1, value_scale = 1;  ///< of a cache whose elements have one byte
};

template <class B>
struct DeltaWeights {
  NormParameters input_norm;
  Linear<B> in_proj_qkv, in_proj_z, in_proj_b, in_proj_a, out_proj;
  FloatVector conv;  ///< [taps, channels]
  FloatVector a_log, dt_bias;
  NormParameters gated_norm;
};

template <class B>
struct MlpWeights {
  NormParameters norm;
  Linear<B> gate_proj, up_proj, down_proj;
};

/// Activations between the words of a step, each [tokens, its width]. One set serves every layer.
template <class B>
struct Scratch {
  using Rows = View<typename B::Real>;
  Rows normed, projected;                                      // hidden
  Rows query_gate, query, gate, key, value, attended;          // attention
  Rows delta_qkv, delta_conv, delta_z, delta_b, delta_a, delta_core;  // Gated DeltaNet
  Rows mlp_gate, mlp_up, mlp_act;                              // intermediate
};

}  // namespace nvllm
