#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "bench/profile/collector.h"
#include "bench/profile/profile_folder.h"
#include "engine/engine.h"
#include "server/profiler.h"

namespace nvllm::bench {

/// Where profiles go and what they say about whose they are.
struct EngineProfilerOptions {
  std::filesystem::path root;  ///< a numbered folder below it for each profile
  std::string model{}, version{};
  CollectorLimits limits{};
};

/// Profiles a serving engine between a start and a stop. Safe from several threads.
class EngineProfiler final : public server::Profiler {
 public:
  /// Borrows the engine, which must outlive it.
  EngineProfiler(engine::Engine& engine, EngineProfilerOptions options);
  /// A profile that is still running is lost, with a warning.
  ~EngineProfiler() override;
  EngineProfiler(const EngineProfiler&) = delete;
  EngineProfiler& operator=(const EngineProfiler&) = delete;

  [[nodiscard]] server::ProfileStart start() override;
  [[nodiscard]] std::optional<server::ProfileResult> stop() override;

 private:
  engine::Engine& engine_;
  const EngineProfilerOptions options_;
  std::mutex mutex_;
  std::unique_ptr<Collector> collector_;  ///< while a profile runs
  SteadyTime begin_{};
  std::int64_t ended_before_ = 0;
  double note_cost_s_ = 0;
};

}  // namespace nvllm::bench
