#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>

#include "base/error.h"
#include "base/log.h"
#include "base/units.h"
#include "engine/engine.h"
#include "engine/runner_cpu.h"
#include "engine/runner_cuda.h"

namespace nvllm::engine {

namespace {

enum class Device { kCpu, kCuda, kReference };

Device device_of(const EngineOptions& options) {
  if (options.device == "auto") return uses_gpu(options) ? Device::kCuda : Device::kCpu;
  if (options.device == "cpu") return Device::kCpu;
  if (options.device == "reference") return Device::kReference;
  if (options.device == "cuda") {
    if (const std::string why = why_no_cuda(); !why.empty()) {
      throw Error(ErrorKind::kUnsupported, fmt::format("--device cuda: {}; use --device cpu", why));
    }
    return Device::kCuda;
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("--device '{}' is not one of auto, cpu, cuda, reference", options.device));
}

/// Refuses a number format that no device knows, or that this one does not keep.
void check_format(std::string_view flag, const std::string& value, std::initializer_list<std::string_view> everywhere,
                  std::string_view on_gpu, Device device) {
  if (std::ranges::find(everywhere, value) != everywhere.end()) return;
  if (value == on_gpu && device == Device::kCuda) return;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("{} '{}' is not supported here: give {}{}, or leave the flag out", flag, value,
                          fmt::join(everywhere, " or "), device == Device::kCuda ? fmt::format(" or {}", on_gpu)
                                                                                  : fmt::format(" ({} needs a GPU)", on_gpu)));
}

/// What can be refused is refused here, before anything is read or taken.
MemoryPlan plan_for(const checkpoint::Checkpoint& files, const EngineOptions& options) {
  const Device device = device_of(options);
  check_format("--kv-cache-dtype", options.kv_cache_dtype, {"auto", "bf16"}, "fp8_e4m3", device);
  check_format("--mamba-ssm-cache-dtype", options.state_dtype, {"auto", "float32"}, "bfloat16", device);
  check_format("--prefill-activations", options.prefill_activations, {"auto", "bf16"}, "nvfp4", device);
  static_cast<void>(fusion_of(options));
  switch (device) {
    case Device::kCpu: return plan_cpu_memory(files, options);
    case Device::kCuda: return plan_cuda_memory(files, options);
    case Device::kReference: break;
  }
  return plan_reference_memory(files, options);
}

std::unique_ptr<Runner> make_runner(const checkpoint::Checkpoint& files, const EngineOptions& options,
                                    const MemoryPlan& plan, const LoadProgress& progress) {
  switch (device_of(options)) {
    case Device::kCpu: return make_cpu_runner(files, options, plan, progress);
    case Device::kCuda: return make_cuda_runner(files, options, plan, progress);
    case Device::kReference: break;
  }
  return make_reference_runner(files, options, plan, progress);
}

}  // namespace

bool uses_gpu(const EngineOptions& options) {
  return options.device == "cuda" || (options.device == "auto" && why_no_cuda().empty());
}

std::unique_ptr<Runner> open_runner(const checkpoint::Checkpoint& files, const EngineOptions& options) {
  if (uses_gpu(options)) return make_cuda_runner(files, options, plan_cuda_memory(files, options));
  return make_cpu_runner(files, options);
}

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
  if (options.deterministic && device_of(options) != Device::kCuda) {
    log(LogLevel::kInfo, "engine",
        fmt::format("--deterministic changes nothing: {} gives the same request the same bits in any batch, chunking "
                    "and recomputation", limits.device));
  }
  log(LogLevel::kInfo, "engine",
      fmt::format("ready device=\"{}\" leg={} fusion={} max_num_seqs={} max_model_len={} max_num_batched_tokens={} "
                  "kv_blocks={}",
                  limits.device, limits.leg, fusion_spec(device_of(options) == Device::kCuda ? cuda_fusion(options) : fusion_of(options)), limits.max_num_seqs, limits.max_model_len,
                  limits.max_num_batched_tokens, limits.kv_block_count));
  return std::make_unique<Engine>(std::move(runner), options.inbox_limit);
}

}  // namespace nvllm::engine
