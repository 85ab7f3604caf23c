#include "engine/runner_cuda.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/faults.h"
#include "base/log.h"
#include "base/units.h"
#include "engine/device_sampler.h"
#include "engine/runner_cpu.h"
#include "engine/sampling.h"
#include "engine/slot_tenancies.h"
#include "engine/weight_totals.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/dense_matrix.h"
#include "kernels/cuda/device_trace.h"
#include "kernels/cuda/graph_notes.h"
#include "kernels/cuda/greedy.h"
#include "kernels/cuda/read_sweep.h"
#include "model/hybrid_model.h"

namespace nvllm::engine {

namespace {

constexpr std::int64_t kRowGranularity = 16;  // rows of every buffer, so that each begins at an aligned address
constexpr std::int64_t kStepTokens = 2048;    // unless asked for: products of fewer rows leave tensor cores idle

/// Whether a graph can run the step: one token of each sequence, none of them the first, and all of them sampled.
bool is_decode(const StepPlan& plan) {
  return plan.logit_rows.size() == plan.segments.size() &&
         std::ranges::all_of(plan.segments, [](const Segment& s) { return s.token_count == 1 && s.start > 0; });
}

/// Decode widths that have a graph: a step takes the next one up.
std::vector<std::int64_t> graph_widths(std::int64_t sequences_max) {
  std::vector<std::int64_t> widths;
  for (std::int64_t width = 1; width < sequences_max; width += width < 8 ? 1 : width < 32 ? 8 : width < 64 ? 16 : 64) widths.push_back(width);
  widths.push_back(sequences_max);
  return widths;
}

/// Keeps the records of kernels until a step is over.
class StepRecords final : public cuda::KernelRecordListener {
 public:
  void on_kernels(const std::vector<cuda::KernelRecord>& records) override {
    const std::lock_guard lock(mutex_);
    records_.insert(records_.end(), records.begin(), records.end());
  }
  std::vector<cuda::KernelRecord> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(records_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<cuda::KernelRecord> records_;
};

/// Runs steps on a GPU: decode steps as graphs recorded at the start, others launch by launch. Tokens are sampled on the
/// device, with penalties, biases and alternatives. Rows of logits come to the host, one by one, where tokens of a prompt are
/// scored, where somebody listens to logits, and for what DeviceSampler leaves. While somebody listens to kernels, every step is
/// a graph, so that each record of the device's trace has its place in one; without such a trace none is.
class CudaRunner final : public Runner {
 public:
  CudaRunner(std::unique_ptr<CudaOps> ops, const checkpoint::Checkpoint& files, FusionPlan plan, EngineLimits limits,
             model::PrepareProgress progress)
      : limits_(std::move(limits)), ops_(std::move(ops)),
        model_(*ops_, files, std::move(plan),
               {.tokens_per_step = round_up(limits_.max_num_batched_tokens, kRowGranularity), .logit_rows = limits_.logit_rows,
                .kv_blocks = limits_.kv_block_count, .kv_block_tokens = limits_.kv_block_tokens,
                .state_slots = limits_.state_slot_count},
               std::move(progress)),
        greedy_(limits_.logit_rows), device_sampler_(limits_.logit_rows, limits_.vocab_size, greedy_.choices()),
        choices_(limits_.logit_rows * static_cast<std::int64_t>(sizeof(cuda::GreedyChoice))),
        row_(limits_.vocab_size * static_cast<std::int64_t>(sizeof(float))), sampler_(limits_.vocab_size), tenancies_(limits_.state_slot_count) {
    ops_->finish_loading(model::delta_shape(model_.config()), model::attention_shape(model_.config()));
    for (const std::int64_t width : graph_widths(limits_.max_num_seqs)) graphs_.emplace(width, record_decode(width, false));
  }

  const EngineLimits& limits() const override { return limits_; }

  StepResult run(const StepPlan& plan) override {
    tenancies_.check(plan);
    break_device(steps_++, ops_->stream());
    copy_states(plan, model_);
    const bool advances = is_decode(plan) && (launches_ == nullptr || trace_ != nullptr);
    const View<const float> logits = trace_ != nullptr ? run_traced(plan, advances) : run_plainly(plan, advances);
    if (advances) ops_->advanced({choices_.as<cuda::GreedyChoice>(), plan.segments.size()});
    if (logit_listener_) show(plan, logits);
    return sample(plan, logits);
  }

  void set_logit_listener(LogitListener listener) override { logit_listener_ = std::move(listener); }
  void set_launch_listener(LaunchListener* listener) override {
    if (listener != nullptr && launches_ == nullptr) trace();
    if (listener == nullptr) stop_tracing();
    launches_ = listener;
    // Stamps between launches are for want of a trace.
    ops_->set_listener(trace_ == nullptr ? listener : nullptr);
    if (listener != nullptr) listener->on_clock(trace_ == nullptr ? LaunchClock::kBetweenLaunches : LaunchClock::kDeviceTrace);
  }

 private:
  struct Recorded {
    cuda::Graph graph;
    View<const float> logits;
    cuda::GraphNotes notes;  ///< only of graphs made for a trace
  };

  /// Whatever `work` queues, as a graph.
  template <class Work>
  Recorded recorded(const Work& work, bool with_notes) {
    Recorded out;
    ops_->stream().begin_capture();
    if (with_notes) ops_->set_recorder(&out.notes);
    out.logits = work();
    ops_->set_recorder(nullptr);
    out.graph = cuda::Graph(ops_->stream(), with_notes ? &out.notes : nullptr);
    return out;
  }

  /// A reason why not is said once.
  void trace() {
    if (!why_no_trace_.empty()) return;
    trace_ = cuda::DeviceTrace::open(records_, why_no_trace_);
    if (trace_ == nullptr) log(LogLevel::kWarning, "engine", "kernels are timed between launches, not in the graphs of steps: " + why_no_trace_);
  }

  /// Graphs that were made for a trace are of no use to the next.
  void stop_tracing() {
    traced_graphs_.clear();
    trace_.reset();
  }

  View<const float> run_plainly(const StepPlan& plan, bool as_graph) {
    View<const float> logits;
    if (as_graph) {
      const auto graph = graphs_.lower_bound(static_cast<std::int64_t>(plan.segments.size()));
      ops_->upload_step(plan.ids, plan.segments, plan.logit_rows, graph->first);
      graph->second.graph.launch(ops_->stream());
      logits = graph->second.logits;
    } else {
      ops_->upload_step(plan.ids, plan.segments, plan.logit_rows, static_cast<std::int64_t>(plan.segments.size()));
      logits = forward(plan.ids, plan.segments, plan.logit_rows);
    }
    device_sampler_.prepare(plan.samples);
    device_sampler_.launch(*ops_, logits);
    ops_->report_launches();
    ops_->stream().wait();
    return logits;
  }

  /// The same, told to the listener kernel by kernel.
  View<const float> run_traced(const StepPlan& plan, bool decodes) {
    const auto sequences = static_cast<std::int64_t>(plan.segments.size());
    Recorded once;
    const Recorded* step = &once;
    if (decodes) {
      // Graphs made ready before the trace began may not be traced kernel by kernel.
      const std::int64_t width = graphs_.lower_bound(sequences)->first;
      auto found = traced_graphs_.find(width);
      if (found == traced_graphs_.end()) found = traced_graphs_.emplace(width, record_decode(width, true)).first;
      step = &found->second;
      ops_->upload_step(plan.ids, plan.segments, plan.logit_rows, width);
    } else {
      ops_->upload_step(plan.ids, plan.segments, plan.logit_rows, sequences);
      once = recorded([&] { return forward(plan.ids, plan.segments, plan.logit_rows); }, true);
    }
    device_sampler_.prepare(plan.samples);
    const auto sampling = [&] {
      device_sampler_.launch(*ops_, step->logits);
      return step->logits;
    };
    const bool samples = device_sampler_.launches();
    const Recorded after = samples ? recorded(sampling, true) : Recorded{};
    trace_->flush();
    static_cast<void>(records_.take());  // of whatever ran between steps, recording included
    const SteadyTime begin = SystemClock().now();
    step->graph.launch(ops_->stream());
    if (samples) after.graph.launch(ops_->stream());
    ops_->stream().wait();
    trace_->flush();
    std::vector<cuda::KernelRecord> records = records_.take();
    const cuda::GraphNotes* const notes[] = {&step->notes, &after.notes};
    cuda::tell_of_graphs(notes, records, begin, ops_->attend_cost(plan.segments), *launches_);
    return step->logits;
  }

  /// The forward, the likeliest tokens, and their copy to the host.
  View<const float> forward(std::span<const std::int32_t> ids, std::span<const Segment> segments, std::span<const std::int64_t> logit_rows) {
    const View<const float> logits = model_.forward({.ids = ids, .segments = segments, .logit_rows = logit_rows});
    ops_->set_layer(-1);
    ops_->announce("greedy_choice", logits.rows, logits.cols);
    cuda::greedy_choices(logits, greedy_, ops_->stream());
    const std::int64_t bytes = logits.rows * static_cast<std::int64_t>(sizeof(cuda::GreedyChoice));
    if (bytes > 0) cuda::copy_to_host(choices_.as<void>(), greedy_.choices(), bytes, ops_->stream());
    return logits;
  }

  /// Records a decode step of `width` lanes. It runs once as it is, so that every kernel is loaded; lanes have no tokens.
  Recorded record_decode(std::int64_t width, bool with_notes) {
    const std::vector<std::int32_t> ids(static_cast<std::size_t>(width), 0);
    std::vector<Segment> segments;
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < width; ++i) {
      segments.push_back({.first_row = i, .token_count = 1, .start = 1, .slot = -1, .slot_epoch = 0, .blocks = {}});
      rows.push_back(i);
    }
    ops_->upload_step({}, {}, {}, width);
    const auto step = [&] { return forward(ids, segments, rows); };
    step();
    ops_->stream().wait();
    const auto step_and_advance = [&] {
      const View<const float> logits = step();
      ops_->advance_on_device(greedy_.choices(), width);
      return logits;
    };
    return recorded(step_and_advance, with_notes);
  }

  StepResult sample(const StepPlan& plan, View<const float> logits) {
    StepResult result;
    for (const ScoreTask& task : plan.scores) result.scores.push_back(sampler_.score(on_host(logits, task.logit_index), task));
    for (std::size_t i = 0; i < plan.samples.size(); ++i) {
      const SampleTask& task = plan.samples[i];
      std::optional<ScoredToken> token = device_sampler_.token(i, task, choices_.as<cuda::GreedyChoice>());
      if (!token) token = sampler_.sample(on_host(logits, task.logit_index), task);
      result.samples.push_back(std::move(*token));
    }
    return result;
  }

  void show(const StepPlan& plan, View<const float> logits) {
    std::vector<float> all;
    for (std::int64_t row = 0; row < logits.rows; ++row) {
      const std::span<const float> one = on_host(logits, row);
      all.insert(all.end(), one.begin(), one.end());
    }
    logit_listener_(plan, {all.data(), logits.rows, logits.cols});
  }

  std::span<const float> on_host(View<const float> logits, std::int64_t index) {
    cuda::copy_to_host(row_.as<float>(), logits.row(index), row_.bytes(), ops_->stream());
    ops_->stream().wait();
    return {row_.as<float>(), static_cast<std::size_t>(logits.cols)};
  }

  EngineLimits limits_;
  std::unique_ptr<CudaOps> ops_;
  model::HybridModel<CudaOps> model_;
  cuda::GreedyWorkspace greedy_;
  DeviceSampler device_sampler_;
  cuda::PinnedBuffer choices_, row_;
  Sampler sampler_;
  SlotTenancies tenancies_;
  std::map<std::int64_t, Recorded> graphs_, traced_graphs_;  ///< by width
  StepRecords records_;
  std::unique_ptr<cuda::DeviceTrace> trace_;  ///< only while somebody listens
  std::string why_no_trace_;
  LaunchListener* launches_ = nullptr;
  LogitListener logit_listener_;
  std::int64_t steps_ = 0;
};

cuda::KvFormat kv_format(const EngineOptions& options) {
  return options.kv_cache_dtype == "fp8_e4m3" || options.kv_cache_dtype == "fp8" ? cuda::KvFormat::kFp8 : cuda::KvFormat::kBf16;
}

PrefillActivations prefill_activations(const EngineOptions& options) {
  if (options.prefill_activations == "nvfp4") return PrefillActivations::kNvfp4;
  return options.prefill_activations == "bf16" ? PrefillActivations::kBf16 : PrefillActivations::kAuto;
}

CudaOpsOptions cuda_options(const EngineOptions& options, const EngineLimits& limits) {
  return {.plan = cuda_fusion(options),
          .tokens_max = round_up(limits.max_num_batched_tokens, kRowGranularity),
          .lanes_max = limits.max_num_seqs,
          .blocks_per_lane = ceil_div(limits.max_model_len, limits.kv_block_tokens),
          .block_tokens = limits.kv_block_tokens,
          .kv_format = kv_format(options),
          .state_format = options.state_dtype == "bfloat16" ? cuda::StateFormat::kBf16 : cuda::StateFormat::kFloat,
          .prefill_activations = prefill_activations(options),
          .deterministic = options.deterministic};
}

/// Equal bits need products of one kind, which take so many rows.
void check_deterministic(const EngineOptions& options) {
  if (!options.deterministic || std::max(options.max_num_seqs, options.max_num_batched_tokens) <= cuda::kDenseTokensMax) return;
  throw Error(ErrorKind::kUsage, fmt::format("--deterministic: a step on a GPU has at most {} tokens then; give --max-num-seqs and "
                                             "--max-num-batched-tokens within that", cuda::kDenseTokensMax));
}

}  // namespace

std::string why_no_cuda() {
  cuda::DeviceFacts facts;
  std::string why_not;
  return cuda::find_device(facts, why_not) ? "" : why_not;
}

FusionPlan cuda_fusion(const EngineOptions& options) {
  if (!options.fusion.empty() || options.leg != "default") return fusion_of(options);
  // On an H200 the separate MLP kernels and DecodeKernel beat every leg that fuses more: docs/performance.md.
  FusionPlan plan = parse_fusion("beta=none,decode=on,attention-mlp=two-kernels,other-mlp=two-kernels,inputs=on,delta=on");
  plan.name = "default";
  return plan;
}

double cuda_read_sweep() { return cuda::read_sweep_bytes_per_second(); }

MemoryPlan plan_cuda_memory(const checkpoint::Checkpoint& files, const EngineOptions& options) {
  check_deterministic(options);
  cuda::DeviceFacts facts;
  std::string why_not;
  if (!cuda::find_device(facts, why_not)) throw Error(ErrorKind::kDevice, why_not + "; use --device cpu");
  const std::int64_t free = cuda::free_device_bytes();
  const bool small_kv = kv_format(options) == cuda::KvFormat::kFp8, small_state = options.state_dtype == "bfloat16";
  MemoryPlan plan = plan_memory(files.config(),
                                {.weight_bytes = weigh<CudaOps>(files).prepared_bytes, .real_bytes = sizeof(Bf16),
                                 .kv_bytes = small_kv ? 1 : 2, .state_bytes = small_state ? 2 : 4, .angle_bytes = sizeof(float),
                                 .workspace_bytes_per_token = CudaOps::workspace_bytes_per_token(model::delta_shape(files.config())),
                                 .workspace_bytes_per_position = 0, .workspace_bytes = CudaOps::kWorkspaceBytes,
                                 .conv_rows_more = 1, .available_bytes = free / 10 * 9, .free_bytes = free,
                                 .step_tokens = options.deterministic ? cuda::kDenseTokensMax : kStepTokens},
                                options);
  plan.limits.device = fmt::format("cuda ({})", facts.name);
  return plan;
}

std::unique_ptr<Runner> make_cuda_runner(const checkpoint::Checkpoint& files, const EngineOptions& options, const MemoryPlan& plan,
                                         const LoadProgress& progress) {
  auto ops = std::make_unique<CudaOps>(cuda_options(options, plan.limits));
  return std::make_unique<CudaRunner>(std::move(ops), files, cuda_fusion(options), plan.limits,
                                      counted(progress, weigh<CudaOps>(files).file_bytes));
}

}  // namespace nvllm::engine
