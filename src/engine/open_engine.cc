#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/runner_cpu.h"

namespace nvllm::engine {

namespace {

std::unique_ptr<Runner> make_runner(const checkpoint::Checkpoint& files, const EngineOptions& options,
                                    const LoadProgress& progress) {
  if (options.kv_cache_dtype != "bf16" && options.kv_cache_dtype != "auto") {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("--kv-cache-dtype {} is not available on this device; use bf16", options.kv_cache_dtype));
  }
  if (options.device == "auto" || options.device == "cpu") return make_cpu_runner(files, options, progress);
  if (options.device == "reference") return make_reference_runner(files, options, progress);
  if (options.device == "cuda") {
    throw Error(ErrorKind::kUnsupported, "--device cuda: this build has no CUDA backend; use --device cpu");
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("--device '{}' is not one of auto, cpu, cuda, reference", options.device));
}

}  // namespace

std::unique_ptr<Engine> open_engine(const std::string& model, const EngineOptions& options, const LoadProgress& progress) {
  const checkpoint::Checkpoint files = checkpoint::Checkpoint::open(model);
  std::unique_ptr<Runner> runner = make_runner(files, options, progress);
  const EngineLimits& limits = runner->limits();
  log(LogLevel::kInfo, "engine",
      fmt::format("ready device=\"{}\" leg={} max_num_seqs={} max_model_len={} max_num_batched_tokens={} kv_blocks={}",
                  limits.device, limits.leg, limits.max_num_seqs, limits.max_model_len,
                  limits.max_num_batched_tokens, limits.kv_block_count));
  return std::make_unique<Engine>(std::move(runner), options.inbox_limit);
}

}  // namespace nvllm::engine
