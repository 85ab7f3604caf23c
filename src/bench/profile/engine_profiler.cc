#include "bench/profile/engine_profiler.h"

#include <fmt/format.h>

#include <numeric>

#include "base/log.h"

namespace nvllm::bench {

EngineProfiler::EngineProfiler(engine::Engine& engine, EngineProfilerOptions options)
    : engine_(engine), options_(std::move(options)) {}

EngineProfiler::~EngineProfiler() {
  if (collector_ == nullptr) return;
  engine_.set_launch_listener(nullptr);
  log(LogLevel::kWarning, "bench", "a profile was running and is lost: nobody stopped it");
}

namespace {

std::int64_t ended(const engine::EngineStats& stats) {
  return std::accumulate(stats.finished.begin(), stats.finished.end(), std::int64_t{0});
}

}  // namespace

server::ProfileStart EngineProfiler::start() {
  const std::lock_guard lock(mutex_);
  if (collector_ != nullptr) return server::ProfileStart::kAlreadyRunning;
  note_cost_s_ = measure_note_cost_s();
  collector_ = std::make_unique<Collector>(options_.limits);
  begin_ = SystemClock().now();
  ended_before_ = ended(engine_.set_launch_listener(collector_.get()));
  log(LogLevel::kInfo, "bench", "profile started");
  return server::ProfileStart::kStarted;
}

std::optional<server::ProfileResult> EngineProfiler::stop() {
  const std::lock_guard lock(mutex_);
  if (collector_ == nullptr) return std::nullopt;
  const engine::EngineStats stats = engine_.set_launch_listener(nullptr);
  const double wall_s = seconds_between(begin_, SystemClock().now());
  const Profile profile = collector_->profile();
  collector_.reset();
  const engine::EngineLimits& limits = engine_.limits();
  const std::filesystem::path folder = write_profile(options_.root, profile,
                                                     {.leg = limits.leg,
                                                      .device = limits.device,
                                                      .model = options_.model,
                                                      .version = options_.version,
                                                      .requests = ended(stats) - ended_before_,
                                                      .wall_s = wall_s,
                                                      .note_cost_s = note_cost_s_});
  server::ProfileResult result{.folder = folder.string(),
                               .decode_steps = profile.totals(ProfilePhase::kDecode).count,
                               .prefills = profile.prefills};
  for (const KernelStats& kernel : profile.kernels) {
    if (kernel.identity.kind == WorkKind::kKernel) result.kernel_calls += kernel.call_count;
  }
  log(LogLevel::kInfo, "bench",
      fmt::format("profile written folder={} decode_steps={} prefills={} kernel_calls={}", result.folder,
                  result.decode_steps, result.prefills, result.kernel_calls));
  return result;
}

}  // namespace nvllm::bench
