#include "kernels/cuda/cuda_ops.h"

#include <algorithm>
#include <limits>
#include <numbers>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/units.h"
#include "kernels/cost.h"

namespace nvllm {

using cuda::MatvecCall;
using cuda::MatvecEnd;
using cuda::Nvfp4DeviceMatrix;

namespace {

cuda::DeviceFacts usable_device() {
  cuda::DeviceFacts facts;
  std::string why_not;
  if (!cuda::find_device(facts, why_not)) throw Error(ErrorKind::kDevice, why_not);
  return facts;
}

cuda::DeviceNorm device_norm(const NormWeights& norm) {
  return {.gain = norm.gain.data(), .epsilon = norm.epsilon, .zero_centred = norm.style == NormStyle::kZeroCentred};
}

cuda::MatvecTarget target(View<Bf16> view) { return {view.data, view.stride}; }

cuda::AttentionGeometry geometry_of(const AttentionShape& shape, std::int64_t block_tokens) {
  return {.heads = static_cast<int>(shape.heads), .kv_heads = static_cast<int>(shape.kv_heads),
          .head_dim = static_cast<int>(shape.head_dim), .rotary_dims = static_cast<int>(shape.rotary_dims),
          .block_tokens = static_cast<int>(block_tokens)};
}

bool stacked(const CudaOps::Matrix& a, const CudaOps::Matrix& b) { return a.stack != nullptr && a.stack == b.stack; }

/// Bytes on the device of a matrix that is not NVFP4.
std::int64_t dense_bytes(const MatrixSource& file) {
  const std::int64_t cols = round_up(file.cols, cuda::kDenseColsUnit);
  return file.format == MatrixFormat::kFp8 ? file.rows * cols + file.rows * cols / cuda::kDenseColsUnit * 4 : file.rows * cols * 2;
}

/// Whether a spelled-out leg multiplies by gate and up one after the other.
bool keeps_apart(const FusionPlan& plan, Stacking use) {
  const MlpFusion fusion = use == Stacking::kAttentionGateUp ? plan.attention_mlp : plan.other_mlp;
  const bool beta = use == Stacking::kAttentionGateUp && plan.beta_layers_begin < plan.beta_layers_end;
  return fusion == MlpFusion::kSpelledOut && !beta;
}

bool can_stack(std::span<const MatrixSource> files) {
  return files.size() <= static_cast<std::size_t>(cuda::kMatvecOutputsMax) && std::ranges::all_of(files, [&](const MatrixSource& file) {
           return file.format == MatrixFormat::kNvfp4 && file.cols == files[0].cols;
         });
}

Cost matrix_cost(std::int64_t tokens, const CudaOps::Matrix& w) { return matmul_cost(tokens, w.rows, w.cols, w.bytes()); }

Cost mlp_cost(std::int64_t tokens, const MlpWeights<CudaOps>& w) {
  return matrix_cost(tokens, w.gate_proj.weight) + matrix_cost(tokens, w.up_proj.weight) + matrix_cost(tokens, w.down_proj.weight);
}

}  // namespace

std::int64_t CudaOps::Matrix::bytes() const {
  if (dense) return dense->bytes();
  if (stack->order() == cuda::RowOrder::kGateUp) return stack->bytes() / 2;
  return own.bytes();
}

CudaOps::CudaOps(const CudaOpsOptions& options)
    : options_(options), device_(usable_device()),
      step_(options.tokens_max, options.lanes_max, options.blocks_per_lane, options.deterministic) {
  if (options.deterministic && !cuda::has_warpgroups(device_)) {
    throw Error(ErrorKind::kUnsupported, "--deterministic: on " + device_.name + " sums depend on the number of rows; use --device cpu");
  }
}
CudaOps::~CudaOps() = default;

// ---- loading

CudaOps::Matrix CudaOps::prepare(const MatrixSource& file) {
  if (file.format == MatrixFormat::kNvfp4) return std::move(prepare_stack({&file, 1}, Stacking::kInputs)[0]);
  return {.rows = file.rows, .cols = file.cols, .stack = nullptr, .part = 0, .own = {},
          .dense = std::make_shared<cuda::DenseDeviceMatrix>(file)};
}

std::vector<CudaOps::Matrix> CudaOps::prepare_stack(std::span<const MatrixSource> files, Stacking use) {
  std::vector<Matrix> out;
  if (!can_stack(files)) {
    for (const MatrixSource& file : files) out.push_back(prepare(file));
    return out;
  }
  const bool interleaved = use != Stacking::kInputs && !keeps_apart(options_.plan, use);
  const auto stack = std::make_shared<Nvfp4DeviceMatrix>(
      files, interleaved ? cuda::RowOrder::kGateUp : cuda::RowOrder::kPlain);
  for (std::size_t i = 0; i < files.size(); ++i) {
    out.push_back({.rows = files[i].rows, .cols = files[i].cols, .stack = stack, .part = i,
                   .own = interleaved ? Nvfp4DeviceMatrix{} : stack->part(i), .dense = nullptr});
  }
  const cuda::MatvecNeeds needs = cuda::matvec_needs(*stack, device_);
  needs_.partial_bytes = std::max(needs_.partial_bytes, needs.partial_bytes);
  needs_.arrivals = std::max(needs_.arrivals, needs.arrivals);
  return out;
}

FloatVector CudaOps::place(const std::vector<float>& values) {
  const auto bytes = static_cast<std::int64_t>(values.size() * sizeof(float));
  Buffer buffer = allocate(static_cast<std::size_t>(bytes));
  cuda::copy_to_device(buffer.as<float>(), values.data(), bytes, stream_);
  stream_.wait();
  return {std::move(buffer), values.size()};
}

Buffer CudaOps::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  cuda::DeviceBuffer memory(static_cast<std::int64_t>(bytes));
  memory.fill(0);
  return std::move(memory).release();
}

void CudaOps::finish_loading(const DeltaShape& delta, const AttentionShape& attention) {
  workspace_ = cuda::MatvecWorkspace(needs_);
  attention_geometry_ = geometry_of(attention, options_.block_tokens);
  attention_workspace_ = cuda::AttentionWorkspace(attention_geometry_, static_cast<int>(options_.lanes_max));
  phrase_workspace_ = cuda::PhraseWorkspace::make();
  prefill_ = std::make_unique<cuda::PrefillScratch>();
  if (delta.value_heads > 0) delta_scratch_ = cuda::DeviceBuffer(cuda::delta_prefill_scratch_bytes(delta, options_.tokens_max));
}

std::int64_t CudaOps::matrix_bytes(const MatrixSource& file) {
  if (file.format != MatrixFormat::kNvfp4) return dense_bytes(file);
  return cuda::row_tiles_of(file.rows) * ceil_div(file.cols, cuda::kTileCols) * cuda::kTileBytes;
}

// ---- a step

void CudaOps::upload_step(std::span<const std::int32_t> ids, std::span<const Segment> segments, std::span<const std::int64_t> logit_rows,
                          std::int64_t lane_count) {
  lengths_.clear();
  for (const Segment& segment : segments) {
    if (segment.token_count == 1) lengths_.push_back(static_cast<int>(segment.start) + 1);
  }
  const int chunk_tokens = lengths_.empty() || options_.deterministic ? 0 : cuda::attention_chunk_tokens(attention_geometry_, lengths_, device_.multiprocessors);
  step_.bring(ids, segments, logit_rows, lane_count, chunk_tokens, stream_);
}

void CudaOps::fill(void* to, std::int64_t bytes, std::uint8_t value) {
  cuda::fill_device(to, value, bytes, stream_);
  stream_.wait();
}

void CudaOps::note(std::string_view operation, LaunchShape shape, Cost cost) {
  if (listener_ != nullptr) timer_.mark({.operation = operation, .layer = layer_, .shape = shape, .cost = cost}, stream_);
}

void CudaOps::report_launches() {
  if (listener_ != nullptr) timer_.report(*listener_, stream_);
}

Cost CudaOps::attend_cost(const AttentionContext<CudaOps>& context) const {
  Cost cost;
  for (const Segment& segment : context.segments) {
    cost = cost + attention_cost(context.shape, segment.start, segment.token_count, kv_element_bytes());
  }
  return cost;
}

// ---- words

void CudaOps::embed(View<Bf16> out, const Matrix& table, std::span<const std::int32_t> /*ids*/) {
  NVLLM_CHECK(table.dense != nullptr && table.dense->view().format == cuda::DenseFormat::kBf16);
  note("embed", {out.rows, out.cols, 0}, elementwise_cost(out.rows * out.cols, 1, 1));
  cuda::embed(out, table.dense->view(),  step_.rows(), stream_);
}

void CudaOps::rms_norm(View<Bf16> out, View<const Bf16> x, const NormWeights& norm) {
  note("rms_norm", {x.rows, x.cols, 0}, elementwise_cost(x.rows * x.cols, 1, 1));
  cuda::rms_norm(out, x, device_norm(norm), device_, stream_);
}

void CudaOps::head_norm(View<Bf16> x, std::int64_t heads, const NormWeights& norm) {
  note("head_norm", {x.rows, x.cols, 0}, elementwise_cost(x.rows * x.cols, 1, 1));
  cuda::head_norm(x, heads, device_norm(norm), stream_);
}

MatvecCall CudaOps::call_of(View<const Bf16> x, const Nvfp4DeviceMatrix& w, MatvecEnd end) const {
  return {.x = x.data, .x_stride = x.stride, .tokens = x.rows, .w = &w, .end = end, .alone_as_in_company = options_.deterministic};
}

void CudaOps::matmul(View<Bf16> out, View<const Bf16> x, const Matrix& w, std::span<const float> bias) {
  NVLLM_CHECK(w.cols == x.cols && w.rows == out.cols && out.rows == x.rows);
  note("matmul", {x.rows, w.rows, w.cols}, matrix_cost(x.rows, w));
  if (w.dense) {
    multiply_dense(out.data, out.stride, x, *w.dense, cuda::ProductType::kBf16);
  } else if (!few(x.rows)) {
    NVLLM_CHECK(w.own.row_tiles() > 0);
    const cuda::MatvecTarget to = target(out);
    cuda::prefill_matmul({&to, 1}, x.data, x.stride, x.rows, w.own, cuda::ProductType::kBf16, *prefill_, stream_);
  } else {
    NVLLM_CHECK(w.own.row_tiles() > 0);
    MatvecCall call = call_of(x, w.own, MatvecEnd::kBf16);
    call.out[0] = target(out);
    call.early = false;  // a word
    cuda::nvfp4_matvec(call, device_, workspace_, stream_);
  }
  if (!bias.empty()) cuda::add_bias(out, bias.data(), stream_);
}

void CudaOps::logits(View<float> out, View<const Bf16> x, const Matrix& head) {
  note("logits", {x.rows, head.rows, head.cols}, matrix_cost(x.rows, head));
  if (head.dense) return multiply_dense(out.data, out.stride, x, *head.dense, cuda::ProductType::kFloat);
  const cuda::MatvecTarget to{out.data, out.stride};
  if (!few(x.rows)) {
    return cuda::prefill_matmul({&to, 1}, x.data, x.stride, x.rows, head.own, cuda::ProductType::kFloat, *prefill_, stream_);
  }
  MatvecCall call = call_of(x, head.own, MatvecEnd::kFloat);
  call.out[0] = to;
  cuda::nvfp4_matvec(call, device_, workspace_, stream_);
}

void CudaOps::multiply_dense(void* out, std::int64_t out_stride, View<const Bf16> x, const cuda::DenseDeviceMatrix& w, cuda::ProductType type) {
  if (x.rows > cuda::kDenseTokensMax) return cuda::prefill_matmul(out, out_stride, x.data, x.stride, x.rows, w.view(), type, *prefill_, stream_);
  const cuda::DenseEnd end = type == cuda::ProductType::kBf16 ? cuda::DenseEnd::kBf16 : cuda::DenseEnd::kFloat;
  cuda::dense_matvec(out, out_stride, x.data, x.stride, x.rows, w.view(), end, stream_);
}

void CudaOps::add(View<Bf16> residual, View<const Bf16> x) {
  note("add", {x.rows, x.cols, 0}, elementwise_cost(x.rows * x.cols, 2, 1));
  cuda::add(residual, x, stream_);
}

void CudaOps::swiglu(View<Bf16> out, View<const Bf16> gate, View<const Bf16> up) {
  note("swiglu", {out.rows, out.cols, 0}, elementwise_cost(out.rows * out.cols, 2, 1));
  cuda::swiglu(out, gate, up, stream_);
}

void CudaOps::split_gate(View<Bf16> query, View<Bf16> gate, View<const Bf16> both, std::int64_t heads) {
  note("split_gate", {both.rows, both.cols, 0}, elementwise_cost(both.rows * both.cols, 1, 1));
  cuda::split_gate(query, gate, both, heads, stream_);
}

void CudaOps::rotary_angles(View<float> cosine, View<float> sine, std::span<const Segment> /*segments*/,
                            const RotaryFrequencies& frequencies) {
  const auto bytes = static_cast<std::int64_t>(frequencies.inverse.size() * sizeof(double));
  if (frequencies_.bytes() != bytes) {  // the first step; it is never one of a graph
    frequencies_ = cuda::DeviceBuffer(bytes);
    std::vector<double> half_turns;
    for (const double inverse : frequencies.inverse) half_turns.push_back(inverse / std::numbers::pi);
    frequencies_.upload(half_turns.data(), bytes);
  }
  note("rotary_angles", {cosine.rows, 2 * cosine.cols, 0}, {});
  cuda::rotary_angles(cosine, sine, frequencies_.as<double>(), frequencies.magnitude, step_.rows(), stream_);
}

void CudaOps::rope(View<Bf16> x, std::int64_t heads, const AttentionContext<CudaOps>& context) {
  const std::int64_t turned = x.rows * heads * context.shape.rotary_dims;
  note("rope", {x.rows, heads * context.shape.rotary_dims, 0}, elementwise_cost(turned, 1, 1));
  cuda::rope(x, heads, {context.rotary.cosine, context.rotary.sine}, stream_);
}

void CudaOps::write_kv(const AttentionContext<CudaOps>& context, View<const Bf16> keys, View<const Bf16> values) {
  note("write_kv", {keys.rows, 2 * keys.cols, 0}, elementwise_cost(2 * keys.rows * keys.cols, 1, 1));
  const KvCache<std::byte>& c = context.cache;
  cuda::write_kv({.keys = c.keys, .values = c.values, .format = options_.kv_format, .block_count = c.block_count,
                  .block_tokens = c.block_tokens, .kv_heads = c.kv_heads, .head_dim = c.head_dim,
                  .key_scale = c.key_scale, .value_scale = c.value_scale},
                 keys, values, step_.table(), step_.rows(), stream_);
}

cuda::AttentionArguments CudaOps::attention_arguments(View<Bf16> out, const AttentionContext<CudaOps>& context) const {
  cuda::AttentionArguments a{};
  a.geometry = geometry_of(context.shape, context.cache.block_tokens);
  a.keys = context.cache.keys;
  a.values = context.cache.values;
  a.format = options_.kv_format;
  a.block_count = static_cast<int>(context.cache.block_count);
  if (options_.kv_format == cuda::KvFormat::kFp8) {
    a.key_scale = context.cache.key_scale;
    a.value_scale = context.cache.value_scale;
  }
  a.step = step_.decode_table();
  a.out = out.data;
  a.out_stride = static_cast<int>(out.stride);
  return a;
}

void CudaOps::run_attention(const cuda::AttentionArguments& arguments, const AttentionContext<CudaOps>& context) {
  note("paged_attention", {0, context.shape.heads * context.shape.head_dim, 0}, attend_cost(context));
  if (options_.deterministic) {
    cuda::AttentionArguments turn = arguments;
    return in_turns([&](const cuda::StepTable& table) {
      turn.step = table;
      cuda::attention_decode(turn, attention_workspace_, stream_);
    });
  }
  if (arguments.step.lane_count > 0) cuda::attention_decode(arguments, attention_workspace_, stream_);
  int index = arguments.step.lane_count;
  for (const cuda::Lane& lane : step_.prefill_lanes()) cuda::attention_prefill(arguments, lane, index++, stream_);
}

template <class Use>
void CudaOps::in_turns(const Use& use) const {
  if (!options_.deterministic) return use(step_.table());
  const cuda::StepTable first = step_.decode_table();
  if (first.lane_count > 0) use(first);
  for (std::size_t i = 0; i < step_.prefill_lanes().size(); ++i) use(step_.lane_table(first.lane_count + static_cast<std::int64_t>(i)));
}

void CudaOps::paged_attention(View<Bf16> out, View<const Bf16> query, const AttentionContext<CudaOps>& context) {
  cuda::AttentionArguments a = attention_arguments(out, context);
  a.query = query.data;
  a.query_stride = static_cast<int>(query.stride);
  run_attention(a, context);
}

void CudaOps::output_gate(View<Bf16> out, View<const Bf16> gate) {
  note("output_gate", {out.rows, out.cols, 0}, elementwise_cost(out.rows * out.cols, 2, 1));
  cuda::output_gate(out, gate, stream_);
}

cuda::DeltaArguments CudaOps::delta_arguments(const DeltaContext<CudaOps>& context) const {
  cuda::DeltaArguments a{};
  a.shape = context.shape;
  a.conv_state = context.state.conv;
  a.recurrent = context.state.recurrent;
  a.format = options_.state_format;
  a.slot_count = static_cast<int>(context.state.slot_count);
  a.step = step_.table();
  return a;
}

void CudaOps::causal_conv(View<Bf16> out, View<const Bf16> x, std::span<const float> weights, const DeltaContext<CudaOps>& context) {
  Cost cost;
  for (const Segment& segment : context.segments) cost = cost + causal_conv_cost(context.shape, segment.token_count);
  note("causal_conv", {x.rows, x.cols, 0}, cost);
  cuda::DeltaArguments a = delta_arguments(context);
  a.qkv = x.data;
  a.qkv_stride = static_cast<int>(x.stride);
  a.conv_weights = weights.data();
  in_turns([&](const cuda::StepTable& table) {
    a.step = table;
    cuda::causal_conv(out.data, static_cast<int>(out.stride), a, stream_);
  });
}

void CudaOps::delta_rule(View<Bf16> out, View<const Bf16> qkv, View<const Bf16> b, View<const Bf16> a, std::span<const float> a_log,
                         std::span<const float> dt_bias, const DeltaContext<CudaOps>& context) {
  Cost cost;
  for (const Segment& segment : context.segments) cost = cost + delta_rule_cost(context.shape, segment.token_count, state_element_bytes());
  note("delta_rule", {out.rows, out.cols, 0}, cost);
  cuda::DeltaArguments arguments = delta_arguments(context);
  arguments.b = b.data;
  arguments.b_stride = static_cast<int>(b.stride);
  arguments.a = a.data;
  arguments.a_stride = static_cast<int>(a.stride);
  arguments.a_log = a_log.data();
  arguments.dt_bias = dt_bias.data();
  in_turns([&](const cuda::StepTable& table) {
    arguments.step = table;
    cuda::delta_rule(out.data, static_cast<int>(out.stride), qkv.data, static_cast<int>(qkv.stride), arguments, stream_);
  });
}

void CudaOps::gated_norm(View<Bf16> out, View<const Bf16> x, View<const Bf16> z, std::int64_t heads, const NormWeights& norm) {
  note("gated_norm", {x.rows, x.cols, 0}, elementwise_cost(x.rows * x.cols, 2, 1));
  cuda::DeltaArguments a{};
  // What the norm does not look at need only be a shape, and it keeps no slot of its own.
  a.slot_count = std::numeric_limits<int>::max();
  a.shape = {.key_heads = heads, .value_heads = heads, .key_dim = x.cols / heads, .value_dim = x.cols / heads, .conv_taps = 1};
  a.z = z.data;
  a.z_stride = static_cast<int>(z.stride);
  a.gated_norm = device_norm(norm);
  a.step = step_.table();
  cuda::gated_norm(out.data, static_cast<int>(out.stride), x.data, static_cast<int>(x.stride), a, stream_);
}

void CudaOps::gather_rows(View<Bf16> out, View<const Bf16> x) {
  note("gather_rows", {out.rows, out.cols, 0}, elementwise_cost(out.rows * out.cols, 1, 1));
  cuda::gather_rows(out, x, step_.rows(), stream_);
}

// ---- phrases

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
  note("DecodeKernel", {x.rows, w.o_proj.weight.rows, w.o_proj.weight.cols}, attend_cost(context) + matrix_cost(x.rows, w.o_proj.weight));
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
  note("PhaseE_Beta_Kernel", {x.rows, x.cols, attention.o_proj.weight.cols},
       attend_cost(context) + matrix_cost(x.rows, attention.o_proj.weight) + mlp_cost(x.rows, feed_forward));
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
  matmul(s.delta_b, s.normed, b, w.in_proj_b.bias);
  matmul(s.delta_a, s.normed, a, w.in_proj_a.bias);
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
    cuda::delta_prefill(a, lane, index++, {delta_scratch_.as<void>(), delta_scratch_.bytes()}, stream_);
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
