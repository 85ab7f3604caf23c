#pragma once

// Drives scheduler and runner by hand, without threads, and records a hash of the raw logits of
// every drawn token: the instrument of every "same request, same bits" test.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/hashing.h"
#include "engine/runner_cpu.h"
#include "engine/scheduler.h"

namespace nvllm::test {

/// Logit hashes of one request, by number of tokens generated before.
using LogitHashes = std::map<std::size_t, std::string>;
/// By prompt; requests of a trace have different prompts.
using TraceHashes = std::map<std::vector<std::int32_t>, LogitHashes>;

struct TraceRequest {
  std::vector<std::int32_t> prompt;
  std::int64_t max_tokens = 8;
  std::int64_t arrival_step = 0;
  double temperature = 0;
  std::uint64_t seed = 0;
};

/// The small hybrid whose bits are watched.
inline const checkpoint::Checkpoint& tiny_hybrid() {
  static const checkpoint::Checkpoint files = checkpoint::Checkpoint::open("synthetic:tiny-hybrid");
  return files;
}

/// Sizes for it: so many sequences, prompts in chunks of so many tokens (0: whole).
inline engine::EngineOptions tiny_options(std::int64_t sequences, std::int64_t chunk) {
  engine::EngineOptions options;
  options.max_num_seqs = sequences;
  options.max_model_len = 160;
  options.max_prefill_chunk = chunk;
  options.max_num_batched_tokens = 512;
  options.thread_count = 2;
  return options;
}

/// Sequence lengths around every boundary that prefill, convolution and blocks have.
inline std::vector<TraceRequest> boundary_requests(std::int64_t vocab, std::uint64_t seed) {
  std::vector<TraceRequest> out;
  std::uint64_t counter = 0;
  for (const std::int64_t length : {1, 2, 3, 4, 5, 15, 16, 17, 31, 63, 64, 65, 100}) {
    TraceRequest request;
    for (std::int64_t i = 0; i < length; ++i) {
      request.prompt.push_back(static_cast<std::int32_t>(random_bits(seed, counter++) % static_cast<std::uint64_t>(vocab)));
    }
    out.push_back(request);
  }
  return out;
}

template <class Runner>
class Tracer {
 public:
  explicit Tracer(std::unique_ptr<Runner> runner) : runner_(std::move(runner)) {
    runner_->set_logit_listener([this](const engine::StepPlan& plan, View<const float> logits) { record(plan, logits); });
  }

  /// Called before every step with its plan.
  std::function<void(const engine::StepPlan&)> before_step;
  Runner& runner() { return *runner_; }
  /// Pre-emptions of the last run.
  std::int64_t preemptions() const { return preemptions_; }

  TraceHashes run(const std::vector<TraceRequest>& requests) {
    hashes_.clear();
    engine::Scheduler scheduler(runner_->limits());
    std::size_t next = 0;
    for (std::int64_t step = 0; next < requests.size() || !scheduler.idle(); ++step) {
      for (; next < requests.size() && requests[next].arrival_step <= step; ++next) scheduler.add(sequence(requests[next]));
      const engine::StepPlan plan = scheduler.plan();
      if (plan.empty()) continue;
      if (before_step) before_step(plan);
      scheduler.commit(runner_->run(plan));
    }
    engine::EngineStats stats;
    scheduler.report(stats);
    preemptions_ = stats.preemptions;
    return hashes_;
  }

 private:
  static std::unique_ptr<engine::Sequence> sequence(const TraceRequest& request) {
    auto out = std::make_unique<engine::Sequence>();
    out->request.prompt = request.prompt;
    out->request.max_tokens = request.max_tokens;
    out->request.sampling.temperature = request.temperature;
    out->seed = request.seed;
    out->stream = std::make_shared<engine::TokenStream>();
    return out;
  }

  void record(const engine::StepPlan& plan, View<const float> logits) {
    for (const engine::SampleTask& task : plan.samples) {
      const std::span<const float> row(logits.row(task.logit_index), static_cast<std::size_t>(logits.cols));
      hashes_[std::vector<std::int32_t>(task.prompt.begin(), task.prompt.end())][task.output.size()] =
          sha256_hex(std::as_bytes(row));
    }
  }

  std::unique_ptr<Runner> runner_;
  TraceHashes hashes_;
  std::int64_t preemptions_ = 0;
};

}  // namespace nvllm::test
