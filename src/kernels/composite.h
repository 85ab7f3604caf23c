#pragma once

// The phrases: stretches of a layer that a backend may speak as one kernel. Each has its spelled-out
// form here, made of plain words; a backend that owns a kernel for the phrase is asked for it when
// the plan says so. Both forms give the same bits.

#include "kernels/fusion_plan.h"
#include "kernels/layer_weights.h"

namespace nvllm {

/// Whether the rows of a step are all decode rows: one token each, after at least one other. Phrases
/// named after decode kernels are used for those; anything else takes the separate kernels.
enum class StepPhase { kDecode, kMixed };

/// normed = norm(x); query(+gate), key, value = projections.
template <Ops B>
void attention_inputs(B& ops, const FusionPlan& plan, View<const typename B::Real> x,
                      const AttentionWeights<B>& w, Scratch<B>& s) {
  if constexpr (requires { ops.fused_attention_inputs(x, w, s); }) {
    if (plan.fuse_inputs) return ops.fused_attention_inputs(x, w, s);
  }
  ops.rms_norm(s.normed, x, w.input_norm.view());
  ops.matmul(w.output_gate ? s.query_gate : s.query, s.normed, w.q_proj.weight, w.q_proj.bias);
  ops.matmul(s.key, s.normed, w.k_proj.weight, w.k_proj.bias);
  ops.matmul(s.value, s.normed, w.v_proj.weight, w.v_proj.bias);
}

/// DecodeKernel: q/k norm, rope, KV write, paged attention, output gate, output projection, add. In steps with prefill
/// rows a backend may still say what is before the output projection at once: attend().
template <Ops B>
void attention_mix(B& ops, StepPhase phase, AttentionFusion fusion, View<typename B::Real> x,
                   const AttentionWeights<B>& w, Scratch<B>& s, const AttentionContext<B>& context) {
  if constexpr (requires { ops.decode_kernel(x, w, s, context); }) {
    if (fusion != AttentionFusion::kSpelledOut && phase == StepPhase::kDecode) {
      return ops.decode_kernel(x, w, s, context);
    }
  }
  const AttentionShape& shape = context.shape;
  if constexpr (requires { ops.attend(w, s, context); }) {
    if (fusion != AttentionFusion::kSpelledOut) {
      ops.attend(w, s, context);
      ops.matmul(s.projected, s.attended, w.o_proj.weight, w.o_proj.bias);
      return ops.add(x, s.projected);
    }
  }
  if (w.output_gate) ops.split_gate(s.query, s.gate, s.query_gate, shape.heads);
  if (!w.q_norm.gain.empty()) {
    ops.head_norm(s.query, shape.heads, w.q_norm.view());
    ops.head_norm(s.key, shape.kv_heads, w.k_norm.view());
  }
  ops.rope(s.query, shape.heads, context);
  ops.rope(s.key, shape.kv_heads, context);
  ops.write_kv(context, s.key, s.value);
  ops.paged_attention(s.attended, s.query, context);
  if (w.output_gate) ops.output_gate(s.attended, s.gate);
  ops.matmul(s.projected, s.attended, w.o_proj.weight, w.o_proj.bias);
  ops.add(x, s.projected);
}

/// Phase_D_MLP: norm, gate and up projection, SwiGLU, down projection, add.
template <Ops B>
void mlp(B& ops, MlpFusion fusion, View<typename B::Real> x, const MlpWeights<B>& w, Scratch<B>& s) {
  if constexpr (requires { ops.phase_d_mlp(x, w, s); }) {
    if (fusion == MlpFusion::kPhaseD) return ops.phase_d_mlp(x, w, s);
  }
  if constexpr (requires { ops.mlp_gate_up(x, w, s); ops.mlp_down_add(x, w, s); }) {
    if (fusion != MlpFusion::kSpelledOut) {
      ops.mlp_gate_up(x, w, s);
      return ops.mlp_down_add(x, w, s);
    }
  }
  ops.rms_norm(s.normed, x, w.norm.view());
  ops.matmul(s.mlp_gate, s.normed, w.gate_proj.weight, w.gate_proj.bias);
  ops.matmul(s.mlp_up, s.normed, w.up_proj.weight, w.up_proj.bias);
  ops.swiglu(s.mlp_act, s.mlp_gate, s.mlp_up);
  ops.matmul(s.projected, s.mlp_act, w.down_proj.weight, w.down_proj.bias);
  ops.add(x, s.projected);
}

/// A whole full-attention layer. PhaseE_Beta is attention_mix and mlp as one kernel.
template <Ops B>
void attention_layer(B& ops, const FusionPlan& plan, StepPhase phase, std::int64_t layer,
                     View<typename B::Real> x, const AttentionWeights<B>& attention,
                     const MlpWeights<B>& feed_forward, Scratch<B>& s,
                     const AttentionContext<B>& context) {
  attention_inputs(ops, plan, View<const typename B::Real>(x), attention, s);
  const AttentionFusion fusion = plan.attention(layer);
  if constexpr (requires { ops.phase_e_beta(x, attention, feed_forward, s, context); }) {
    if (fusion == AttentionFusion::kPhaseEBeta && phase == StepPhase::kDecode) {
      return ops.phase_e_beta(x, attention, feed_forward, s, context);
    }
  }
  attention_mix(ops, phase, fusion, x, attention, s, context);
  mlp(ops, phase == StepPhase::kDecode ? plan.attention_mlp : plan.other_mlp, x, feed_forward, s);
}

/// A whole Gated DeltaNet layer.
template <Ops B>
void delta_layer(B& ops, const FusionPlan& plan, View<typename B::Real> x, const DeltaWeights<B>& w,
                 const MlpWeights<B>& feed_forward, Scratch<B>& s, const DeltaContext<B>& context) {
  const auto mix = [&] {
    if constexpr (requires { ops.fused_delta_inputs(x, w, s); ops.fused_delta_mix(x, w, s, context); }) {
      if (plan.fuse_delta) {
        ops.fused_delta_inputs(x, w, s);
        return ops.fused_delta_mix(x, w, s, context);
      }
    }
    ops.rms_norm(s.normed, x, w.input_norm.view());
    ops.matmul(s.delta_qkv, s.normed, w.in_proj_qkv.weight, w.in_proj_qkv.bias);
    ops.matmul(s.delta_z, s.normed, w.in_proj_z.weight, w.in_proj_z.bias);
    ops.matmul(s.delta_b, s.normed, w.in_proj_b.weight, w.in_proj_b.bias);
    ops.matmul(s.delta_a, s.normed, w.in_proj_a.weight, w.in_proj_a.bias);
    ops.causal_conv(s.delta_conv, s.delta_qkv, w.conv, context);
    ops.delta_rule(s.delta_core, s.delta_conv, s.delta_b, s.delta_a, w.a_log, w.dt_bias, context);
    ops.gated_norm(s.delta_core, s.delta_core, s.delta_z, context.shape.value_heads, w.gated_norm.view());
    ops.matmul(s.projected, s.delta_core, w.out_proj.weight, w.out_proj.bias);
    ops.add(x, s.projected);
  };
  mix();
  mlp(ops, plan.other_mlp, x, feed_forward, s);
}

}  // namespace nvllm
