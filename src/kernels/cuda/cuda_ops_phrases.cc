// Stretches of a layer: one launch where there is a kernel for them, else several.

#include <utility>

#include "base/check.h"
#include "kernels/cuda/cuda_ops_parts.h"
#include "kernels/cuda/delta_segments.h"

namespace nvllm {

using cuda::MatvecCall;
using cuda::MatvecEnd;
using cuda::Nvfp4DeviceMatrix;

void CudaOps::norm_first(MatvecCall& call, const NormWeights& norm, View<Bf16> normed) {
  if (call.tokens <= cuda::kMatvecNormTokensMax) {
    call.norm = device_norm(norm);
    return;
  }
  rms_norm(normed, {call.x, call.tokens, call.w->cols(), call.x_stride}, norm);
  call.x = normed.data;
  call.x_stride = normed.stride;
}

void CudaOps::fused_attention_inputs(View<const Bf16> x, const AttentionWeights<CudaOps>& w, Scratch<CudaOps>& s) {
  const View<Bf16> query = w.output_gate ? s.query_gate : s.query;
  const bool biased = !w.q_proj.bias.empty() || !w.k_proj.bias.empty() || !w.v_proj.bias.empty();
  if (!few(x.rows) || biased || !stacked(w.q_proj.weight, w.k_proj.weight) || !stacked(w.q_proj.weight, w.v_proj.weight)) {
    rms_norm(s.normed, x, w.input_norm.view());
    matmul(query, s.normed, w.q_proj.weight, w.q_proj.bias);
    matmul(s.key, s.normed, w.k_proj.weight, w.k_proj.bias);
    return matmul(s.value, s.normed, w.v_proj.weight, w.v_proj.bias);
  }
  const Nvfp4DeviceMatrix& stack = *w.q_proj.weight.stack;
  MatvecCall call = call_of(x, stack, MatvecEnd::kBf16);
  norm_first(call, w.input_norm.view(), s.normed);
  note("attention_inputs", {x.rows, stack.rows(), stack.cols()}, matmul_cost(x.rows, stack.rows(), stack.cols(), stack.bytes()));
  call.out[0] = target(query);
  call.out[1] = target(s.key);
  call.out[2] = target(s.value);
  cuda::nvfp4_matvec(call, device_, workspace_, stream_);
}

cuda::AttentionArguments CudaOps::layer_arguments(const AttentionWeights<CudaOps>& w, Scratch<CudaOps>& s,
                                                  const AttentionContext<CudaOps>& context) const {
  cuda::AttentionArguments a = attention_arguments(s.attended, context);
  const View<Bf16> query = w.output_gate ? s.query_gate : s.query;
  a.query = query.data;
  a.query_stride = static_cast<int>(query.stride);
  a.key = s.key.data;
  a.key_stride = static_cast<int>(s.key.stride);
  a.value = s.value.data;
  a.value_stride = static_cast<int>(s.value.stride);
  a.has_gate = w.output_gate ? 1 : 0;
  if (!w.q_norm.gain.empty()) {
    a.q_norm = device_norm(w.q_norm.view());
    a.k_norm = device_norm(w.k_norm.view());
  }
  a.cosine = context.rotary.cosine.data;
  a.sine = context.rotary.sine.data;
  return a;
}

void CudaOps::attend(const AttentionWeights<CudaOps>& w, Scratch<CudaOps>& s, const AttentionContext<CudaOps>& context) {
  run_attention(layer_arguments(w, s, context), context);
}

MatvecCall CudaOps::add_call(View<Bf16> x, View<const Bf16> from, const Matrix& w) const {
  MatvecCall call = call_of(from, w.own, MatvecEnd::kAdd);
  call.out[0] = target(x);
  return call;
}

bool CudaOps::is_one_kernel(std::int64_t rows, const Linear<CudaOps>& linear) const {
  return rows <= cuda::kMatvecNormTokensMax && !options_.deterministic && linear.weight.own.row_tiles() > 0 && linear.bias.empty();
}

bool CudaOps::is_one_kernel(std::int64_t rows, const MlpWeights<CudaOps>& w) const {
  const Matrix& gate = w.gate_proj.weight;
  return is_one_kernel(rows, w.down_proj) && stacked(gate, w.up_proj.weight) && gate.stack->order() == cuda::RowOrder::kGateUp &&
         w.gate_proj.bias.empty() && w.up_proj.bias.empty();
}

cuda::DecodeCall CudaOps::decode_call(View<Bf16> x, const AttentionWeights<CudaOps>& w, Scratch<CudaOps>& s,
                                      const AttentionContext<CudaOps>& context) const {
  return {layer_arguments(w, s, context), add_call(x, s.attended, w.o_proj.weight)};
}

cuda::PhaseDCall CudaOps::mlp_call(View<Bf16> x, const MlpWeights<CudaOps>& w, Scratch<CudaOps>& s) {
  return {gate_up_call(x, w, s), add_call(x, s.mlp_act, w.down_proj.weight)};
}

void CudaOps::decode_kernel(View<Bf16> x, const AttentionWeights<CudaOps>& w, Scratch<CudaOps>& s, const AttentionContext<CudaOps>& context) {
  if (!is_one_kernel(x.rows, w.o_proj) || !cuda::has_attention_phrases(geometry_of(context.shape, context.cache.block_tokens), device_)) {
    attend(w, s, context);
    return project_and_add(x, s.attended, w.o_proj, s);
  }
  note_attention("DecodeKernel", {x.rows, w.o_proj.weight.rows, w.o_proj.weight.cols}, matrix_cost(x.rows, w.o_proj.weight), context.segments);
  cuda::decode_kernel(decode_call(x, w, s, context), attention_workspace_, device_, workspace_, phrase_workspace_, stream_);
}

void CudaOps::project_and_add(View<Bf16> x, View<const Bf16> from, const Linear<CudaOps>& linear, Scratch<CudaOps>& s) {
  const Matrix& w = linear.weight;
  if (!few(x.rows) || w.own.row_tiles() == 0 || !linear.bias.empty()) {
    matmul(s.projected, from, w, linear.bias);
    return add(x, s.projected);
  }
  note("project_add", {x.rows, w.rows, w.cols}, matrix_cost(x.rows, w));
  cuda::nvfp4_matvec(add_call(x, from, w), device_, workspace_, stream_);
}

MatvecCall CudaOps::gate_up_call(View<const Bf16> x, const MlpWeights<CudaOps>& w, Scratch<CudaOps>& s) {
  MatvecCall call = call_of(x, *w.gate_proj.weight.stack, MatvecEnd::kSwiglu);
  norm_first(call, w.norm.view(), s.normed);
  call.out[0] = target(s.mlp_act);
  return call;
}

void CudaOps::mlp_gate_up(View<const Bf16> x, const MlpWeights<CudaOps>& w, Scratch<CudaOps>& s) {
  const Matrix &gate = w.gate_proj.weight, &up = w.up_proj.weight;
  const bool interleaved = stacked(gate, up) && gate.stack->order() == cuda::RowOrder::kGateUp;
  const bool biased = !w.gate_proj.bias.empty() || !w.up_proj.bias.empty();
  if (!interleaved || biased) {
    rms_norm(s.normed, x, w.norm.view());
    matmul(s.mlp_gate, s.normed, gate, w.gate_proj.bias);
    matmul(s.mlp_up, s.normed, up, w.up_proj.bias);
    return swiglu(s.mlp_act, s.mlp_gate, s.mlp_up);
  }
  const auto announce = [&] {
    note("mlp_gate_up", {x.rows, gate.rows + up.rows, gate.cols}, matrix_cost(x.rows, gate) + matrix_cost(x.rows, up));
  };
  if (!few(x.rows)) {
    rms_norm(s.normed, x, w.norm.view());
    announce();
    const cuda::MatvecTarget to[] = {target(s.mlp_gate), target(s.mlp_up)};
    cuda::prefill_matmul(to, s.normed.data, s.normed.stride, x.rows, *gate.stack, cuda::ProductType::kBf16, *prefill_, stream_);
    return swiglu(s.mlp_act, s.mlp_gate, s.mlp_up);
  }
  const MatvecCall call = gate_up_call(x, w, s);
  announce();
  cuda::nvfp4_matvec(call, device_, workspace_, stream_);
}

void CudaOps::mlp_down_add(View<Bf16> x, const MlpWeights<CudaOps>& w, Scratch<CudaOps>& s) {
  project_and_add(x, s.mlp_act, w.down_proj, s);
}

void CudaOps::phase_d_mlp(View<Bf16> x, const MlpWeights<CudaOps>& w, Scratch<CudaOps>& s) {
  if (!is_one_kernel(x.rows, w)) {
    mlp_gate_up(x, w, s);
    return mlp_down_add(x, w, s);
  }
  note("Phase_D_MLP_Kernel", {x.rows, w.down_proj.weight.rows, w.gate_proj.weight.cols}, mlp_cost(x.rows, w));
  cuda::phase_d_mlp(mlp_call(x, w, s), device_, workspace_, phrase_workspace_, stream_);
}

void CudaOps::phase_e_beta(View<Bf16> x, const AttentionWeights<CudaOps>& attention, const MlpWeights<CudaOps>& feed_forward,
                           Scratch<CudaOps>& s, const AttentionContext<CudaOps>& context) {
  if (!is_one_kernel(x.rows, attention.o_proj) || !is_one_kernel(x.rows, feed_forward) ||
      !cuda::has_attention_phrases(geometry_of(context.shape, context.cache.block_tokens), device_)) {
    decode_kernel(x, attention, s, context);
    return phase_d_mlp(x, feed_forward, s);
  }
  note_attention("PhaseE_Beta_Kernel", {x.rows, x.cols, attention.o_proj.weight.cols},
                 matrix_cost(x.rows, attention.o_proj.weight) + mlp_cost(x.rows, feed_forward), context.segments);
  cuda::phase_e_beta(decode_call(x, attention, s, context), mlp_call(x, feed_forward, s), attention_workspace_, device_, workspace_,
                     phrase_workspace_, stream_);
}

void CudaOps::fused_delta_inputs(View<const Bf16> x, const DeltaWeights<CudaOps>& w, Scratch<CudaOps>& s) {
  const Matrix &qkv = w.in_proj_qkv.weight, &b = w.in_proj_b.weight, &a = w.in_proj_a.weight;
  if (!few(x.rows) || !stacked(qkv, w.in_proj_z.weight)) {
    rms_norm(s.normed, x, w.input_norm.view());
    matmul(s.delta_qkv, s.normed, qkv, w.in_proj_qkv.bias);
    matmul(s.delta_z, s.normed, w.in_proj_z.weight, w.in_proj_z.bias);
    matmul(s.delta_b, s.normed, b, w.in_proj_b.bias);
    return matmul(s.delta_a, s.normed, a, w.in_proj_a.bias);
  }
  const Nvfp4DeviceMatrix& stack = *qkv.stack;
  MatvecCall call = call_of(x, stack, MatvecEnd::kBf16);
  norm_first(call, w.input_norm.view(), s.normed);
  call.out[0] = target(s.delta_qkv);
  call.out[1] = target(s.delta_z);
  const auto plain = [&](const Matrix& m) {
    return m.dense && m.dense->view().format == cuda::DenseFormat::kBf16 && m.dense->view().stride == m.cols;
  };
  const bool normed = x.rows > cuda::kMatvecNormTokensMax;
  const bool together = !normed && !options_.deterministic && plain(b) && plain(a) && w.in_proj_b.bias.empty() && cuda::matvec_ctas(stack, device_) >= b.rows + a.rows;
  Cost cost = matmul_cost(x.rows, stack.rows(), stack.cols(), stack.bytes());
  if (together) {
    call.dense[0] = {static_cast<const Bf16*>(b.dense->view().data), b.rows, target(s.delta_b)};
    call.dense[1] = {static_cast<const Bf16*>(a.dense->view().data), a.rows, target(s.delta_a)};
    cost = cost + matrix_cost(x.rows, b) + matrix_cost(x.rows, a);
  }
  note("delta_inputs", {x.rows, stack.rows(), stack.cols()}, cost);
  cuda::nvfp4_matvec(call, device_, workspace_, stream_);
  if (together) return;
  if (!normed) rms_norm(s.normed, x, w.input_norm.view());
  const bool biased = !w.in_proj_b.bias.empty() || !w.in_proj_a.bias.empty();
  if (!b.dense || !a.dense || !b.dense->view().pairs_with(a.dense->view()) || biased || x.rows > cuda::kDenseTokensMax) {
    matmul(s.delta_b, s.normed, b, w.in_proj_b.bias);
    return matmul(s.delta_a, s.normed, a, w.in_proj_a.bias);
  }
  note("matmul", {x.rows, b.rows + a.rows, b.cols}, matrix_cost(x.rows, b) + matrix_cost(x.rows, a));
  cuda::dense_matvec_of_two({s.delta_b.data, s.delta_b.stride, b.dense->view()}, {s.delta_a.data, s.delta_a.stride, a.dense->view()},
                            s.normed.data, s.normed.stride, x.rows, stream_);
}

int CudaOps::prompt_segments(const DeltaShape& shape, std::int64_t tokens) const {
  return cuda::delta_segments(shape.value_heads, cuda::delta_chunks(tokens), device_.multiprocessors);
}

void CudaOps::mix_delta(cuda::DeltaArguments a) {
  if (options_.deterministic) {
    bool first = true;
    return in_turns([&](const cuda::StepTable& table) {
      a.step = table;
      cuda::delta_decode(a, stream_, !std::exchange(first, false));
    });
  }
  a.step = step_.decode_table();
  if (a.step.lane_count > 0) cuda::delta_decode(a, stream_);
  int index = a.step.lane_count;
  a.step = step_.table();
  for (const cuda::Lane& lane : step_.prefill_lanes()) {
    const int segments = prompt_segments(a.shape, lane.token_count);
    cuda::delta_prefill(a, lane, index++, {delta_scratch_.as<void>(), delta_scratch_.bytes(), segments}, stream_);
  }
}

void CudaOps::fused_delta_mix(View<Bf16> x, const DeltaWeights<CudaOps>& w, Scratch<CudaOps>& s, const DeltaContext<CudaOps>& context) {
  cuda::DeltaArguments a = delta_arguments(context);
  const auto stride = [](View<Bf16> view) { return static_cast<int>(view.stride); };
  a.qkv = s.delta_qkv.data;
  a.qkv_stride = stride(s.delta_qkv);
  a.z = s.delta_z.data;
  a.z_stride = stride(s.delta_z);
  a.b = s.delta_b.data;
  a.b_stride = stride(s.delta_b);
  a.a = s.delta_a.data;
  a.a_stride = stride(s.delta_a);
  a.conv_weights = w.conv.data();
  a.a_log = w.a_log.data();
  a.dt_bias = w.dt_bias.data();
  a.gated_norm = device_norm(w.gated_norm.view());
  a.out = s.delta_core.data;
  a.out_stride = stride(s.delta_core);
  Cost cost;
  for (const Segment& segment : context.segments) {
    cost = cost + delta_rule_cost(context.shape, segment.token_count, state_element_bytes()) + causal_conv_cost(context.shape, segment.token_count);
  }
  note("delta_mix", {x.rows, s.delta_core.cols, 0}, cost);
  mix_delta(a);
  project_and_add(x, s.delta_core, w.out_proj, s);
}

void CudaOps::fused_logits(View<float> out, View<Bf16> scratch, View<const Bf16> x, const NormWeights& norm, const Matrix& head) {
  if (!few(x.rows) || head.dense) {
    rms_norm(scratch, x, norm);
    return logits(out, scratch, head);
  }
  MatvecCall call = call_of(x, head.own, MatvecEnd::kFloat);
  norm_first(call, norm, scratch);
  note("logits", {x.rows, head.rows, head.cols}, matrix_cost(x.rows, head));
  call.out[0] = {out.data, out.stride};
  cuda::nvfp4_matvec(call, device_, workspace_, stream_);
}

}  // namespace nvllm
