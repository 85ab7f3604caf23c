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
  std::string cache_salt{};
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

inline std::vector<std::int32_t> random_tokens(std::int64_t vocab, std::int64_t count, std::uint64_t seed) {
  std::vector<std::int32_t> out;
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(count); ++i) {
    out.push_back(static_cast<std::int32_t>(random_bits(seed, i) % static_cast<std::uint64_t>(vocab)));
  }
  return out;
}

inline std::vector<std::int32_t> joined(std::vector<std::int32_t> a, const std::vector<std::int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Prompts of up to 140 tokens that share beginnings of every kind: whole blocks, parts of one, nothing; some of them begin
/// with another whole one. They arrive one after the other.
inline std::vector<TraceRequest> related_requests(std::int64_t vocab, std::uint64_t seed, std::size_t count) {
  std::vector<TraceRequest> out;
  const std::vector<std::int32_t> root = random_tokens(vocab, 130, seed);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t bits = random_bits(seed + 1, i);
    const auto shared = static_cast<std::ptrdiff_t>(bits % 101), own = static_cast<std::ptrdiff_t>(1 + bits / 128 % 28);
    TraceRequest request;
    request.prompt = joined({root.begin(), root.begin() + shared}, random_tokens(vocab, own, seed + 100 + i));
    if (i % 5 == 4) request.prompt = joined(out[i - 1].prompt, random_tokens(vocab, 3, seed + 200 + i));
    if (request.prompt.size() > 140) request.prompt.resize(140);
    request.max_tokens = 1 + static_cast<std::int64_t>(bits / 4096 % 12);
    request.arrival_step = static_cast<std::int64_t>(i / 3 * 2);
    out.push_back(std::move(request));
  }
  return out;
}

template <class Runner>
class Tracer {
 public:
  explicit Tracer(std::unique_ptr<Runner> runner) : runner_(std::move(runner)), scheduler_(runner_->limits()) {
    runner_->set_logit_listener([this](const engine::StepPlan& plan, View<const float> logits) { record(plan, logits); });
  }

  /// Called before every step with its plan.
  std::function<void(const engine::StepPlan&)> before_step;
  /// Called after every step with its result, before the scheduler hears of it.
  std::function<void(const engine::StepResult&)> after_step;
  /// Called when the scheduler has heard of a step's result.
  std::function<void()> between_steps;
  Runner& runner() { return *runner_; }
  /// Lives as long as the tracer: what one run leaves in the prefix cache, the next one finds.
  engine::Scheduler& scheduler() { return scheduler_; }
  engine::EngineStats stats() const {
    engine::EngineStats out;
    scheduler_.report(out);
    return out;
  }

  TraceHashes run(const std::vector<TraceRequest>& requests) {
    hashes_.clear();
    std::size_t next = 0;
    for (std::int64_t step = 0; next < requests.size() || !scheduler_.idle(); ++step) {
      for (; next < requests.size() && requests[next].arrival_step <= step; ++next) scheduler_.add(sequence(requests[next]));
      const engine::StepPlan plan = scheduler_.plan();
      if (plan.empty()) continue;
      if (before_step) before_step(plan);
      engine::StepResult result = runner_->run(plan);
      if (after_step) after_step(result);
      scheduler_.commit(std::move(result));
      if (between_steps) between_steps();
    }
    return hashes_;
  }

 private:
  static std::unique_ptr<engine::Sequence> sequence(const TraceRequest& request) {
    auto out = std::make_unique<engine::Sequence>();
    out->request.prompt = request.prompt;
    out->request.max_tokens = request.max_tokens;
    out->request.sampling.temperature = request.temperature;
    out->seed = request.seed;
    out->request.cache_salt = request.cache_salt;
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
  engine::Scheduler scheduler_;
  TraceHashes hashes_;
};

}  // namespace nvllm::test
