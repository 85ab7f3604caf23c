// Loading, a step's table, and the words.

#include "kernels/cuda/cuda_ops.h"

#include <algorithm>
#include <limits>
#include <numbers>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/units.h"
#include "kernels/cost.h"
#include "kernels/cuda/block_scaled_matmul.h"
#include "kernels/cuda/cuda_ops_parts.h"

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
  needs_.cover(cuda::matvec_needs(*stack, device_));
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
  attention_shape_ = attention;
  attention_geometry_ = geometry_of(attention, options_.block_tokens);
  attention_workspace_ = cuda::AttentionWorkspace(attention_geometry_, static_cast<int>(options_.lanes_max));
  phrase_workspace_ = cuda::PhraseWorkspace::make();
  const PrefillActivations activations = options_.prefill_activations;
  const bool rounds = activations == PrefillActivations::kNvfp4 || (activations == PrefillActivations::kAuto && cuda::multiplies_nvfp4(device_));
  prefill_ = std::make_unique<cuda::PrefillScratch>(rounds);
  if (delta.value_heads > 0) {
    const std::int64_t tokens = options_.tokens_max;
    delta_scratch_ = cuda::DeviceBuffer(cuda::delta_prefill_scratch_bytes(delta, tokens, prompt_segments(delta, tokens)));
  }
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
  int chunk_tokens = 0;  // a matter of each sequence alone
  if (!lengths_.empty() && !options_.deterministic) {
    const bool few_rows = std::max(std::ssize(ids), lane_count) <= cuda::kMatvecNormTokensMax;
    const bool phrases = few_rows && cuda::has_attention_phrases(attention_geometry_, device_);  // as most legs speak such a step
    const auto form = phrases ? cuda::AttentionForm::kTiles : cuda::attention_form(std::ssize(lengths_));
    chunk_tokens = cuda::attention_chunk_tokens(attention_geometry_, form, lengths_, device_.multiprocessors);
  }
  step_.bring(ids, segments, logit_rows, lane_count, chunk_tokens, stream_);
}

void CudaOps::fill(void* to, std::int64_t bytes, std::uint8_t value) {
  cuda::fill_device(to, value, bytes, stream_);
  stream_.wait();
}

void CudaOps::note(std::string_view operation, LaunchShape shape, Cost cost) {
  const LaunchNote note{.operation = operation, .layer = layer_, .shape = shape, .cost = cost};
  if (recorder_ != nullptr) {
    recorder_->mark(note, false, stream_);
  } else if (listener_ != nullptr) {
    timer_.mark(note, stream_);
  }
}

void CudaOps::note_attention(std::string_view operation, LaunchShape shape, Cost besides, std::span<const Segment> segments) {
  if (recorder_ == nullptr) return note(operation, shape, besides + attend_cost(segments));
  recorder_->mark({.operation = operation, .layer = layer_, .shape = shape, .cost = besides}, true, stream_);
}

void CudaOps::report_launches() {
  if (listener_ != nullptr) timer_.report(*listener_, stream_);
}

Cost CudaOps::attend_cost(std::span<const Segment> segments) const {
  Cost cost;
  for (const Segment& segment : segments) {
    cost = cost + attention_cost(attention_shape_, segment.start, segment.token_count, kv_element_bytes());
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

bool CudaOps::few(std::int64_t tokens) const {
  return tokens <= (prefill_->rounds_activations() ? kExactTokens : cuda::matvec_tokens_max(device_));
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
  note_attention("paged_attention", {0, context.shape.heads * context.shape.head_dim, 0}, {}, context.segments);
  if (options_.deterministic) {
    cuda::AttentionArguments turn = arguments;
    return in_turns([&](const cuda::StepTable& table) {
      turn.step = table;
      cuda::attention_decode(turn, cuda::AttentionForm::kRuns, attention_workspace_, stream_);  // whatever the turn's width
    });
  }
  int index = arguments.step.lane_count;
  if (index > 0) cuda::attention_decode(arguments, cuda::attention_form(index), attention_workspace_, stream_);
  for (const cuda::Lane& lane : step_.prefill_lanes()) cuda::attention_prefill(arguments, lane, index++, stream_);
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

}  // namespace nvllm
