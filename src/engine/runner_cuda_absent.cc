// Stands where runner_cuda.cc does in builds without a CUDA compiler.

#include "base/error.h"
#include "engine/runner_cuda.h"

namespace nvllm::engine {

std::string why_no_cuda() { return "this build has no CUDA backend"; }

FusionPlan cuda_fusion(const EngineOptions& /*options*/) { throw Error(ErrorKind::kUnsupported, why_no_cuda() + "; use --device cpu"); }

double cuda_read_sweep() { throw Error(ErrorKind::kUnsupported, why_no_cuda() + "; use --device cpu"); }

MemoryPlan plan_cuda_memory(const checkpoint::Checkpoint& /*files*/, const EngineOptions& /*options*/) {
  throw Error(ErrorKind::kUnsupported, why_no_cuda() + "; use --device cpu");
}

std::unique_ptr<Runner> make_cuda_runner(const checkpoint::Checkpoint& /*files*/, const EngineOptions& /*options*/,
                                         const MemoryPlan& /*plan*/, const LoadProgress& /*progress*/) {
  throw Error(ErrorKind::kUnsupported, why_no_cuda() + "; use --device cpu");
}

}  // namespace nvllm::engine
