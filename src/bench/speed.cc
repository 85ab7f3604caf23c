#include "bench/speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "bench/profile/collector.h"
#include "bench/profile/profile_tables.h"
#include "base/units.h"
#include "engine/runner_cpu.h"
#include "engine/runner_cuda.h"
#include "kernels/cpu/roofs.h"

namespace nvllm::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kSweepBytes = std::size_t{96} << 20;  // beyond last-level caches
constexpr std::int64_t kWarmUpSteps = 2;
constexpr std::int64_t kStepsBetweenLooks = 8;  // a sweep empties the caches: most steps must not follow one

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// One operation's part in a step.
KernelSpeed speed_of(const KernelStats& stats, std::int64_t steps) {
  const auto count = static_cast<double>(steps);
  return {.operation = stats.identity.operation, .calls_per_step = static_cast<double>(stats.call_count) / count,
          .seconds_per_step = stats.total_s / count,
          .cost_per_step = {stats.cost.bytes / steps, stats.cost.multiply_adds / steps}};
}

/// Positions that decoding will fill, at the most: every step is timed twice, some are not timed after a change of listeners or a look.
std::int64_t decode_positions(const SpeedOptions& options) {
  return 2 * kWarmUpSteps + 2 * options.steps + ceil_div(options.steps, kStepsBetweenLooks);
}

/// The sequences of a run: each has its own slot and blocks and is fed arbitrary tokens, since what
/// a token is does not change what it costs.
class Batch {
 public:
  Batch(engine::Runner& runner, const SpeedOptions& options) : runner_(runner), options_(options) {
    const engine::EngineLimits& limits = runner.limits();
    const std::int64_t positions = options.context + decode_positions(options);
    const std::int64_t each = ceil_div(positions, limits.kv_block_tokens);
    blocks_.resize(static_cast<std::size_t>(options.batch));
    for (std::int64_t i = 0; i < options.batch; ++i) {
      for (std::int64_t j = 0; j < each; ++j) blocks_[static_cast<std::size_t>(i)].push_back(static_cast<std::int32_t>(i * each + j));
    }
  }

  double prefill() {
    const auto start = Clock::now();
    for (std::int64_t i = 0; i < options_.batch; ++i) {
      const std::int64_t chunk = runner_.limits().max_num_batched_tokens;
      for (std::int64_t at = 0; at < options_.context; at += chunk) {
        engine::StepPlan plan;
        add(plan, i, at, std::min(chunk, options_.context - at));
        runner_.run(plan);
      }
    }
    position_ = options_.context;
    return seconds_since(start);
  }

  /// One step of all sequences, told to `listener` if there is one.
  double decode(LaunchListener* listener = nullptr) {
    engine::StepPlan plan;
    for (std::int64_t i = 0; i < options_.batch; ++i) {
      plan.logit_rows.push_back(i);
      plan.samples.push_back({.logit_index = i, .params = &greedy_, .seed = 0, .prompt = {}, .output = {}, .banned = {}});
      add(plan, i, position_, 1);
    }
    if (listener != listener_) runner_.set_launch_listener(listener_ = listener);
    const auto start = Clock::now();
    if (listener != nullptr) listener->on_step_begin(engine::step_note(plan, start));
    runner_.run(plan);
    if (listener != nullptr) listener->on_step_end(Clock::now());
    ++position_;
    return seconds_since(start);
  }

 private:
  void add(engine::StepPlan& plan, std::int64_t sequence, std::int64_t start, std::int64_t count) {
    plan.segments.push_back({.first_row = static_cast<std::int64_t>(plan.ids.size()), .token_count = count, .start = start,
                             .slot = static_cast<std::int32_t>(sequence), .slot_epoch = 1,
                             .blocks = blocks_[static_cast<std::size_t>(sequence)]});
    for (std::int64_t i = 0; i < count; ++i) {
      plan.ids.push_back(static_cast<std::int32_t>((7919 * (start + i) + 31 * sequence) % runner_.limits().vocab_size));
    }
  }

  engine::Runner& runner_;
  const SpeedOptions& options_;
  std::vector<std::vector<std::int32_t>> blocks_;
  engine::SamplingParams greedy_{.temperature = 0, .seed = {}, .logit_bias = {}};
  LaunchListener* listener_ = nullptr;
  std::int64_t position_ = 0;
};

/// The options with every size settled for exactly this run.
engine::EngineOptions sized(const SpeedOptions& options) {
  engine::EngineOptions out = options.engine;
  out.thread_count = engine::worker_count(options.engine);
  out.max_num_seqs = options.batch;
  out.max_model_len = options.context + decode_positions(options);
  const std::int64_t step = !engine::uses_gpu(options.engine) ? 256 : options.engine.deterministic ? 64 : 2048;  // what each can do at once
  out.max_num_batched_tokens = std::max<std::int64_t>(options.batch, std::min(options.context, step));
  return out;
}

void add_profile(SpeedReport& report, const Profile& profile, double profiled_step_s) {
  const StepTotals& totals = profile.totals(ProfilePhase::kDecode);
  report.clock = profile.clock;
  report.lost_kernels = profile.lost_kernels;
  report.profiled_step_seconds = totals.wall_s / static_cast<double>(totals.count);
  for (const KernelStats& kernel : by_operation(profile)) report.kernels.push_back(speed_of(kernel, totals.count));
  for (const KernelStats& work : profile.kernels) {
    if (work.identity.kind == WorkKind::kHost) report.host_work.push_back(speed_of(work, totals.count));
  }
  // Adding up falls on few steps, so a median does not see it.
  const double adding_s = profile.adding_s / static_cast<double>(totals.count);
  report.budget = close_budget(profile, {.unprofiled_s = report.step_seconds, .profiled_s = profiled_step_s + adding_s});
}

}  // namespace

Cost SpeedReport::step_cost() const {
  Cost sum;
  for (const KernelSpeed& kernel : kernels) sum = sum + kernel.cost_per_step;
  return sum;
}

SpeedReport measure_speed(const SpeedOptions& options) {
  const bool gpu = engine::uses_gpu(options.engine);
  const engine::EngineOptions engine_options = sized(options);
  const checkpoint::Checkpoint files = checkpoint::Checkpoint::open(options.model);
  const std::unique_ptr<engine::Runner> runner = engine::open_runner(files, engine_options);
  SpeedReport report{.model = options.model, .device = runner->limits().device, .leg = runner->limits().leg,
                     .batch = options.batch, .context = options.context, .steps = options.steps,
                     .threads = engine_options.thread_count, .kernels = {}, .host_work = {}};
  cpu::WorkerPool pool(engine_options.thread_count);
  const std::vector<std::byte> sweep(kSweepBytes, std::byte{1});
  const double gpu_sweep = gpu ? engine::cuda_read_sweep() : 0;
  const auto look = [&] {
    if (gpu) return gpu_sweep;  // its memory has no neighbours
    const auto start = Clock::now();
    static_cast<void>(cpu::read_sweep(sweep, pool));
    return static_cast<double>(kSweepBytes) / seconds_since(start);
  };

  Batch batch(*runner, options);
  batch.prefill();  // buffers, caches and clocks warm up, as they are for the second request of a server
  report.prefill_seconds = batch.prefill();
  for (std::int64_t i = 0; i < kWarmUpSteps; ++i) batch.decode();
  Collector collector({.event_max = 0, .step_max = options.steps});
  std::vector<double> steps, profiled, reads;
  if (gpu) {
    // In turns of many steps: to begin and to end a trace takes longer than a step.
    reads.push_back(look());
    for (std::int64_t i = 0; i < (options.steps + 1) / 2; ++i) steps.push_back(batch.decode());
    for (std::int64_t i = 0; i < options.steps; ++i) profiled.push_back(batch.decode(&collector));
    for (std::int64_t i = 0; i < kWarmUpSteps; ++i) batch.decode();
    for (std::int64_t i = 0; i < options.steps / 2; ++i) steps.push_back(batch.decode());
  } else {
    for (std::int64_t i = 0; i < options.steps; ++i) {
      if (i % kStepsBetweenLooks == 0) {
        reads.push_back(look());
        batch.decode();  // fills the caches again
      }
      // Neither kind always goes first: the second of a pair finds its branches learned.
      if (i % 2 == 1) profiled.push_back(batch.decode(&collector));
      steps.push_back(batch.decode());
      if (i % 2 == 0) profiled.push_back(batch.decode(&collector));
    }
  }
  report.on_gpu = gpu;
  report.step_seconds = median(steps);
  report.read_bytes_per_second = median(reads);
  add_profile(report, collector.profile(), median(profiled));
  return report;
}

std::string speed_summary(const SpeedReport& r) {
  const Cost cost = r.step_cost();
  const double floor = static_cast<double>(cost.bytes) / r.read_bytes_per_second;
  std::string text = r.on_gpu ? fmt::format("{} on {}, leg {}\n", r.model, r.device, r.leg)
                              : fmt::format("{} on {}, {} threads, leg {}\n", r.model, r.device, r.threads, r.leg);
  if (r.context > 0) {
    text += fmt::format("prefill  {:>9.1f} tokens/s  ({} tokens, {:.2f} s)\n", r.prefill_tokens_per_second(),
                        r.batch * r.context, r.prefill_seconds);
  }
  text += fmt::format("decode   {:>9.2f} tokens/s  (batch {}, {:.2f} ms a step, median of {})\n", r.decode_tokens_per_second(),
                      r.batch, r.step_seconds * 1e3, r.steps);
  text += fmt::format("roofline {:>8.1f} %  of the read sweep: {:.2f} GB a step at {:.2f} GB/s takes {:.2f} ms\n",
                      100 * floor / r.step_seconds, static_cast<double>(cost.bytes) / 1e9, r.read_bytes_per_second / 1e9,
                      floor * 1e3);
  return text;
}

std::string kernel_table(const SpeedReport& r) {
  std::string text = fmt::format("{:<22}{:>12}{:>12}{:>8}{:>12}{:>10}{:>10}{:>12}\n", "kernel", "calls/step", "us/step", "%",
                                 "MB/step", "GB/s", "GMAC/s", "of sweep");
  double sum = 0;
  for (const KernelSpeed& k : r.kernels) {
    const double rate = static_cast<double>(k.cost_per_step.bytes) / k.seconds_per_step;
    sum += k.seconds_per_step;
    text += fmt::format("{:<22}{:>12.0f}{:>12.1f}{:>8.1f}{:>12.3f}{:>10.2f}{:>10.2f}{:>11.1f}%\n", k.operation, k.calls_per_step,
                        k.seconds_per_step * 1e6, 100 * k.seconds_per_step / r.profiled_step_seconds,
                        static_cast<double>(k.cost_per_step.bytes) / 1e6, rate / 1e9,
                        static_cast<double>(k.cost_per_step.multiply_adds) / k.seconds_per_step / 1e9,
                        100 * rate / r.read_bytes_per_second);
  }
  for (const KernelSpeed& work : r.host_work) {
    sum += work.seconds_per_step;
    text += fmt::format("{:<22}{:>12.0f}{:>12.1f}{:>8.1f}\n", "host: " + work.operation, work.calls_per_step,
                        work.seconds_per_step * 1e6, 100 * work.seconds_per_step / r.profiled_step_seconds);
  }
  const double rest = r.profiled_step_seconds - sum;
  text += fmt::format("{:<22}{:>12}{:>12.1f}{:>8.1f}\n", "between kernels", "", rest * 1e6, 100 * rest / r.profiled_step_seconds);
  text += budget_text(r.budget);
  if (r.lost_kernels > 0) text += fmt::format("{} kernels ran of which nothing is known: the rows above lack them\n", r.lost_kernels);
  if (r.clock == LaunchClock::kBetweenLaunches) {
    text += "Kernels were timed one at a time, launch by launch, each with its launch; a step is a graph whose kernels overlap.\n";
  }
  if (r.clock == LaunchClock::kDeviceTrace) {
    text += fmt::format("idle     {:>8.2f} %  of a step without listening no kernel ran. A kernel's time counts from the end of the one before.\n",
                        100 * r.idle_share());
  }
  return text;
}

Json speed_json(const SpeedReport& r) {
  Json json;
  json["model"] = r.model;
  json["device"] = r.device;
  json["leg"] = r.leg;
  json["threads"] = r.threads;
  json["batch"] = r.batch;
  json["context"] = r.context;
  json["steps"] = r.steps;
  json["prefill_seconds"] = r.prefill_seconds;
  json["step_seconds"] = r.step_seconds;
  json["profiled_step_seconds"] = r.profiled_step_seconds;
  json["decode_tokens_per_second"] = r.decode_tokens_per_second();
  json["read_bytes_per_second"] = r.read_bytes_per_second;
  json["step_bytes"] = r.step_cost().bytes;
  json["kernel_clock"] = to_string(r.clock);
  json["lost_kernels"] = r.lost_kernels;
  if (r.clock == LaunchClock::kDeviceTrace) json["idle_share"] = r.idle_share();
  json["budget"] = budget_json(r.budget);
  json["kernels"] = Json::array();
  for (const KernelSpeed& k : r.kernels) {
    Json one;
    one["kernel"] = k.operation;
    one["calls_per_step"] = k.calls_per_step;
    one["seconds_per_step"] = k.seconds_per_step;
    one["bytes_per_step"] = k.cost_per_step.bytes;
    one["multiply_adds_per_step"] = k.cost_per_step.multiply_adds;
    json["kernels"].push_back(one);
  }
  return json;
}

}  // namespace nvllm::bench
