#pragma once

// The CUDA backend: BF16 activations and float sums on one NVIDIA GPU. A kernel, for profiles and legs, is one launch.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/dense_matrix.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/gated_delta.h"
#include "kernels/cuda/graph_notes.h"
#include "kernels/cuda/launch_timer.h"
#include "kernels/cuda/nvfp4_matvec.h"
#include "kernels/cuda/phrases.h"
#include "kernels/cuda/prefill_matmul.h"
#include "kernels/cuda/step_upload.h"
#include "kernels/cuda/stream.h"
#include "kernels/cuda/words.h"
#include "kernels/launch_note.h"
#include "kernels/layer_weights.h"
#include "kernels/ops.h"

namespace nvllm {

/// What a prompt's activations are in products with NVFP4 of more than kExactTokens rows.
enum class PrefillActivations {
  kAuto,   ///< kNvfp4 where the device multiplies it
  kBf16,   ///< as they are
  kNvfp4,  ///< rounded
};

inline constexpr std::int64_t kExactTokens = 64;

/// Sizes and choices CudaOps needs before the first weight.
struct CudaOpsOptions {
  FusionPlan plan;                     ///< says which gate and up matrices must stay apart
  std::int64_t tokens_max = 1;         ///< rows of a step
  std::int64_t lanes_max = 1;          ///< sequences of a step
  std::int64_t blocks_per_lane = 1;    ///< KV blocks of the longest sequence
  std::int64_t block_tokens = 16;
  cuda::KvFormat kv_format = cuda::KvFormat::kBf16;
  cuda::StateFormat state_format = cuda::StateFormat::kFloat;
  PrefillActivations prefill_activations = PrefillActivations::kAuto;
  /// Equal bits for a token whatever company, chunking and recomputation bring it: separate kernels in every leg, at most
  /// kDenseTokensMax rows a step, and prompts token by token where tokens follow from each other.
  bool deterministic = false;
};

/// Operations on the device. Activations, caches and states are device memory; words return before their work is
/// done. What segments of a step say reaches kernels through upload_step(), which must come before the step's words.
/// Not thread-safe: one engine thread calls it.
class CudaOps {
 public:
  using Real = Bf16;
  using Kv = std::byte;     ///< bytes of the format the options name
  using State = std::byte;  ///< the same
  using Angle = float;

  /// A matrix as kernels take it: NVFP4 in tile order, alone or stacked with its neighbours, or rows of BF16 or FP8.
  struct Matrix {
    std::int64_t rows = 0, cols = 0;
    std::shared_ptr<const cuda::Nvfp4DeviceMatrix> stack;  ///< of which it is a part; null for rows
    std::size_t part = 0;
    cuda::Nvfp4DeviceMatrix own;                           ///< the part alone; empty under RowOrder::kGateUp
    std::shared_ptr<const cuda::DenseDeviceMatrix> dense;

    [[nodiscard]] std::int64_t bytes() const;
  };

  /// Takes the first device.  Errors: Error(kDevice) with the reason if there is none that can be used.
  explicit CudaOps(const CudaOpsOptions& options);
  ~CudaOps();

  Matrix prepare(const MatrixSource& file);
  /// Matrices of the same input, laid together where kernels can use it.
  std::vector<Matrix> prepare_stack(std::span<const MatrixSource> files, Stacking use);
  FloatVector place(const std::vector<float>& values);
  /// Zeroed device memory.
  Buffer allocate(std::size_t bytes);
  /// Copies device memory, in the order of what is queued.
  void copy(void* to, const void* from, std::int64_t bytes) { cuda::copy_on_device(to, from, bytes, stream_); }

  void embed(View<Bf16> out, const Matrix& table, std::span<const std::int32_t> ids);
  void rms_norm(View<Bf16> out, View<const Bf16> x, const NormWeights& norm);
  void head_norm(View<Bf16> x, std::int64_t heads, const NormWeights& norm);
  void matmul(View<Bf16> out, View<const Bf16> x, const Matrix& w, std::span<const float> bias);
  void logits(View<float> out, View<const Bf16> x, const Matrix& head);
  void add(View<Bf16> residual, View<const Bf16> x);
  void swiglu(View<Bf16> out, View<const Bf16> gate, View<const Bf16> up);
  void split_gate(View<Bf16> query, View<Bf16> gate, View<const Bf16> both, std::int64_t heads);
  void rotary_angles(View<float> cosine, View<float> sine, std::span<const Segment> segments, const RotaryFrequencies& frequencies);
  void rope(View<Bf16> x, std::int64_t heads, const AttentionContext<CudaOps>& context);
  void write_kv(const AttentionContext<CudaOps>& context, View<const Bf16> keys, View<const Bf16> values);
  void paged_attention(View<Bf16> out, View<const Bf16> query, const AttentionContext<CudaOps>& context);
  void output_gate(View<Bf16> out, View<const Bf16> gate);
  void causal_conv(View<Bf16> out, View<const Bf16> x, std::span<const float> weights, const DeltaContext<CudaOps>& context);
  void delta_rule(View<Bf16> out, View<const Bf16> qkv, View<const Bf16> b, View<const Bf16> a, std::span<const float> a_log,
                  std::span<const float> dt_bias, const DeltaContext<CudaOps>& context);
  void gated_norm(View<Bf16> out, View<const Bf16> x, View<const Bf16> z, std::int64_t heads, const NormWeights& norm);

  // Phrases (kernels/composite.h). One launch each for up to kMatvecNormTokensMax rows; for more, the norm, the products
  // and what lies between them are launches of their own.
  void fused_attention_inputs(View<const Bf16> x, const AttentionWeights<CudaOps>& w, Scratch<CudaOps>& s);
  /// q/k norm, rope, KV write, attention and output gate, whatever the step's rows are.
  void attend(const AttentionWeights<CudaOps>& w, Scratch<CudaOps>& s, const AttentionContext<CudaOps>& context);
  void decode_kernel(View<Bf16> x, const AttentionWeights<CudaOps>& w, Scratch<CudaOps>& s, const AttentionContext<CudaOps>& context);
  void phase_d_mlp(View<Bf16> x, const MlpWeights<CudaOps>& w, Scratch<CudaOps>& s);
  void phase_e_beta(View<Bf16> x, const AttentionWeights<CudaOps>& attention, const MlpWeights<CudaOps>& feed_forward,
                    Scratch<CudaOps>& s, const AttentionContext<CudaOps>& context);
  void mlp_gate_up(View<const Bf16> x, const MlpWeights<CudaOps>& w, Scratch<CudaOps>& s);
  void mlp_down_add(View<Bf16> x, const MlpWeights<CudaOps>& w, Scratch<CudaOps>& s);
  void fused_delta_inputs(View<const Bf16> x, const DeltaWeights<CudaOps>& w, Scratch<CudaOps>& s);
  void fused_delta_mix(View<Bf16> x, const DeltaWeights<CudaOps>& w, Scratch<CudaOps>& s, const DeltaContext<CudaOps>& context);
  void fused_logits(View<float> out, View<Bf16> scratch, View<const Bf16> x, const NormWeights& norm, const Matrix& head);

  /// out[i] = x[rows[i]], by the rows that upload_step() was given; and whether those are 0, 1, 2 and so on.
  void gather_rows(View<Bf16> out, View<const Bf16> x);
  [[nodiscard]] bool wants_first_rows() const { return step_.logit_rows_in_place(); }

  /// Tells the device of a step. Decode steps may be padded to `lane_count` lanes and as many rows, which touch nothing.
  void upload_step(std::span<const std::int32_t> ids, std::span<const Segment> segments, std::span<const std::int64_t> logit_rows,
                   std::int64_t lane_count);

  /// Within the graph of a decode step: the device goes on to the next by itself; and after the graph has run, for the step's
  /// sequences. upload_step() then has nothing to bring where the next step is just that.
  void advance_on_device(const cuda::GreedyChoice* choices, std::int64_t lane_count) {
    step_.advance_on_device(choices, lane_count, stream_);
  }
  void advanced(std::span<const cuda::GreedyChoice> choices) { step_.advanced(choices); }

  /// What one slot or block takes, by the options' formats.
  [[nodiscard]] std::int64_t kv_element_bytes() const { return options_.kv_format == cuda::KvFormat::kFp8 ? 1 : 2; }
  [[nodiscard]] std::int64_t state_element_bytes() const { return options_.state_format == cuda::StateFormat::kBf16 ? 2 : 4; }
  /// The convolution's state is a ring of as many rows as taps.
  [[nodiscard]] static std::int64_t conv_elements(const DeltaShape& shape) { return shape.conv_taps * shape.channels(); }

  /// Overwrites device memory, for tests.
  void fill(void* to, std::int64_t bytes, std::uint8_t value);

  void set_layer(std::int64_t layer) { layer_ = layer; }
  /// With a listener, launches are timed one by one and told of by report_launches(), which waits for them.
  void set_listener(LaunchListener* listener) { listener_ = listener; }
  void report_launches();
  /// While a graph is recorded, what announces itself is kept there; null: no longer.
  void set_recorder(cuda::GraphNotes* notes) { recorder_ = notes; }
  /// What attention of one layer costs in a step of these segments.
  [[nodiscard]] Cost attend_cost(std::span<const Segment> segments) const;
  /// What is launched from here on, besides words and phrases.
  void announce(std::string_view operation, std::int64_t rows, std::int64_t cols) { note(operation, {rows, cols, 0}, {}); }
  [[nodiscard]] const cuda::DeviceFacts& device() const { return device_; }
  [[nodiscard]] cuda::Stream& stream() { return stream_; }

  /// Takes what products of the prepared matrices need besides; once, after the last of them.
  void finish_loading(const DeltaShape& delta, const AttentionShape& attention);
  /// Bytes of device memory that a prepared matrix will occupy.
  static std::int64_t matrix_bytes(const MatrixSource& file);
  /// What products, sampling (48 bytes for each token of the vocabulary, and for each row of logits some 300) and segments of
  /// prompts (at most 16 MiB) need besides, about.
  static constexpr std::int64_t kWorkspaceBytes = std::int64_t{256} << 20;
  static std::int64_t workspace_bytes_per_token(const DeltaShape& delta) {
    return delta.value_heads > 0 ? cuda::delta_prefill_scratch_bytes(delta, 64) / 64 : 0;
  }

 private:
  void note(std::string_view operation, LaunchShape shape, Cost cost);
  /// Of a kernel that attends; `besides`: what else it does.
  void note_attention(std::string_view operation, LaunchShape shape, Cost besides, std::span<const Segment> segments);
  /// Whether so many rows are multiplied by weights as they are, and by BF16.
  [[nodiscard]] bool few(std::int64_t tokens) const;
  void multiply_dense(void* out, std::int64_t out_stride, View<const Bf16> x, const cuda::DenseDeviceMatrix& w, cuda::ProductType type);
  [[nodiscard]] cuda::AttentionArguments attention_arguments(View<Bf16> out, const AttentionContext<CudaOps>& context) const;
  [[nodiscard]] cuda::AttentionArguments layer_arguments(const AttentionWeights<CudaOps>& w, Scratch<CudaOps>& s,
                                                         const AttentionContext<CudaOps>& context) const;
  void run_attention(const cuda::AttentionArguments& arguments, const AttentionContext<CudaOps>& context);
  [[nodiscard]] cuda::MatvecCall call_of(View<const Bf16> x, const cuda::Nvfp4DeviceMatrix& w, cuda::MatvecEnd end) const;
  /// Calls use(table) for lanes that can be worked on at once: all of the step, unless its prompts go token by token.
  template <class Use>
  void in_turns(const Use& use) const;
  void mix_delta(cuda::DeltaArguments arguments);
  /// Into how many segments a prompt of so many tokens is cut.
  [[nodiscard]] int prompt_segments(const DeltaShape& shape, std::int64_t tokens) const;
  [[nodiscard]] cuda::DeltaArguments delta_arguments(const DeltaContext<CudaOps>& context) const;
  /// Whether a phrase with these weights has a kernel of its own.
  [[nodiscard]] bool is_one_kernel(std::int64_t rows, const Linear<CudaOps>& linear) const;
  [[nodiscard]] bool is_one_kernel(std::int64_t rows, const MlpWeights<CudaOps>& w) const;
  [[nodiscard]] cuda::DecodeCall decode_call(View<Bf16> x, const AttentionWeights<CudaOps>& w, Scratch<CudaOps>& s,
                                             const AttentionContext<CudaOps>& context) const;
  [[nodiscard]] cuda::PhaseDCall mlp_call(View<Bf16> x, const MlpWeights<CudaOps>& w, Scratch<CudaOps>& s);
  /// Norms the rows of a call: within it where there are few, before it where there are more.
  void norm_first(cuda::MatvecCall& call, const NormWeights& norm, View<Bf16> normed);
  /// x += from · Wᵀ (+ bias).
  void project_and_add(View<Bf16> x, View<const Bf16> from, const Linear<CudaOps>& linear, Scratch<CudaOps>& s);
  [[nodiscard]] cuda::MatvecCall gate_up_call(View<const Bf16> x, const MlpWeights<CudaOps>& w, Scratch<CudaOps>& s);
  [[nodiscard]] cuda::MatvecCall add_call(View<Bf16> x, View<const Bf16> from, const Matrix& w) const;

  CudaOpsOptions options_;
  cuda::DeviceFacts device_;
  cuda::Stream stream_;
  cuda::StepUpload step_;
  cuda::MatvecWorkspace workspace_;
  AttentionShape attention_shape_;
  cuda::AttentionGeometry attention_geometry_;
  cuda::AttentionWorkspace attention_workspace_;
  std::vector<int> lengths_;  ///< of a step's sequences of one token
  cuda::PhraseWorkspace phrase_workspace_;
  std::unique_ptr<cuda::PrefillScratch> prefill_;
  cuda::DeviceBuffer delta_scratch_, frequencies_;
  cuda::MatvecNeeds needs_;  ///< the most of any matrix
  std::int64_t layer_ = -1;
  LaunchListener* listener_ = nullptr;
  cuda::GraphNotes* recorder_ = nullptr;
  cuda::LaunchTimer timer_;
};

static_assert(Ops<CudaOps>);

}  // namespace nvllm
