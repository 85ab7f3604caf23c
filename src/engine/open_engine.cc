#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "base/units.h"
#include "engine/engine.h"
#include "engine/runner_cpu.h"

namespace nvllm::engine {

namespace {

enum class Device { kCpu, kReference };

Device device_of(const EngineOptions& options) {
  if (options.device == "auto" || options.device == "cpu") return Device::kCpu;
  if (options.device == "reference") return Device::kReference;
  if (options.device == "cuda") {
    throw Error(ErrorKind::kUnsupported, "--device cuda: this build has no CUDA backend; use --device cpu");
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("--device '{}' is not one of auto, cpu, cuda, reference", options.device));
}

/// What can be refused is refused here, before anything is read or taken.
MemoryPlan plan_for(const checkpoint::Checkpoint& files, const EngineOptions& options) {
  const Device device = device_of(options);
  if (options.kv_cache_dtype != "bf16" && options.kv_cache_dtype != "auto") {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("--kv-cache-dtype '{}' is not supported: keys and values are kept in BF16 on every device "
                            "of this build; give bf16 or auto, or leave the flag out",
                            options.kv_cache_dtype));
  }
  static_cast<void>(fusion_of(options));
  return device == Device::kCpu ? plan_cpu_memory(files, options) : plan_reference_memory(files, options);
}

std::unique_ptr<Runner> make_runner(const checkpoint::Checkpoint& files, const EngineOptions& options,
                                    const MemoryPlan& plan, const LoadProgress& progress) {
  if (device_of(options) == Device::kCpu) return make_cpu_runner(files, options, plan, progress);
  return make_reference_runner(files, options, plan, progress);
}

}  // namespace

MemoryPlan plan_engine(const std::string& model, const EngineOptions& options) {
  return plan_for(checkpoint::Checkpoint::open(model), options);
}

std::unique_ptr<Engine> open_engine(const std::string& model, const EngineOptions& options, const LoadProgress& progress) {
  const checkpoint::Checkpoint files = checkpoint::Checkpoint::open(model);
  const MemoryPlan plan = plan_for(files, options);
  log(LogLevel::kInfo, "engine", fmt::format("memory plan, within {}:", format_bytes(plan.budget_bytes)));
  for (const std::string& row : plan.describe()) log(LogLevel::kInfo, "engine", row);
  std::unique_ptr<Runner> runner = make_runner(files, options, plan, progress);
  const EngineLimits& limits = runner->limits();
  if (options.deterministic) {
    log(LogLevel::kInfo, "engine",
        fmt::format("--deterministic changes nothing: {} gives the same request the same bits in any batch, chunking "
                    "and recomputation", limits.device));
  }
  log(LogLevel::kInfo, "engine",
      fmt::format("ready device=\"{}\" leg={} fusion={} max_num_seqs={} max_model_len={} max_num_batched_tokens={} "
                  "kv_blocks={}",
                  limits.device, limits.leg, fusion_spec(fusion_of(options)), limits.max_num_seqs, limits.max_model_len,
                  limits.max_num_batched_tokens, limits.kv_block_count));
  return std::make_unique<Engine>(std::move(runner), options.inbox_limit);
}

}  // namespace nvllm::engine
