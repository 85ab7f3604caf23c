#include "bench/turns.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "base/hashing.h"
#include "checkpoint/checkpoint.h"
#include "engine/runner_cpu.h"
#include "engine/scheduler.h"

namespace nvllm::bench {

namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::int32_t> tokens_of(std::int64_t count, std::uint64_t seed, std::int64_t vocab) {
  std::vector<std::int32_t> out;
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(count); ++i) {
    out.push_back(static_cast<std::int32_t>(random_bits(seed, i) % static_cast<std::uint64_t>(vocab)));
  }
  return out;
}

/// What one prompt came to.
struct FirstToken {
  double seconds = 0;
  std::int64_t cached_tokens = 0;
  std::string logits;  ///< a hash
};

/// Puts prompts one after the other.
class Asker {
 public:
  explicit Asker(engine::Runner& runner) : runner_(runner), scheduler_(runner.limits()) {}

  FirstToken ask(std::vector<std::int32_t> prompt) {
    FirstToken out;
    runner_.set_logit_listener([&](const engine::StepPlan& plan, View<const float> logits) {
      for (const engine::SampleTask& task : plan.samples) {
        out.logits = sha256_hex(std::as_bytes(std::span(logits.row(task.logit_index), static_cast<std::size_t>(logits.cols))));
      }
    });
    auto sequence = std::make_unique<engine::Sequence>();
    sequence->request.prompt = std::move(prompt);
    sequence->request.max_tokens = 1;
    sequence->request.sampling.temperature = 0;
    sequence->stream = std::make_shared<engine::TokenStream>();
    const auto stream = sequence->stream;
    const auto begin = Clock::now();
    scheduler_.add(std::move(sequence));
    while (!scheduler_.idle()) scheduler_.commit(runner_.run(scheduler_.plan()));
    out.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    out.cached_tokens = stream->poll().cached_tokens;
    runner_.set_logit_listener({});
    return out;
  }
  void forget() { scheduler_.reset_prefix_cache(); }

 private:
  engine::Runner& runner_;
  engine::Scheduler scheduler_;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

TurnsReport measure_turns(engine::Runner& runner, const TurnsOptions& options) {
  const std::int64_t vocab = runner.limits().vocab_size;
  TurnsReport report{.model = options.model, .device = runner.limits().device, .leg = runner.limits().leg,
                     .context = options.context, .added = options.added, .warm_seconds = {}};
  const std::vector<std::int32_t> first = tokens_of(options.context, 1, vocab);
  const auto second = [&](std::int64_t round) {
    std::vector<std::int32_t> prompt = first;
    const auto added = tokens_of(options.added, static_cast<std::uint64_t>(2 + round), vocab);
    prompt.insert(prompt.end(), added.begin(), added.end());
    return prompt;
  };
  Asker asker(runner);
  static_cast<void>(asker.ask(tokens_of(options.added, 0, vocab)));  // whatever the first step costs
  report.alone_seconds = asker.ask(tokens_of(options.added, 1'000'000, vocab)).seconds;
  const FirstToken cold = asker.ask(second(0));
  report.cold_seconds = cold.seconds;
  asker.forget();
  report.first_seconds = asker.ask(first).seconds;
  report.cached_tokens = options.context;
  for (std::int64_t round = 0; round < options.rounds; ++round) {
    const FirstToken warm = asker.ask(second(round));
    report.warm_seconds.push_back(warm.seconds);
    report.cached_tokens = std::min(report.cached_tokens, warm.cached_tokens);
    if (round == 0) report.same_bits = warm.logits == cold.logits;
  }
  return report;
}

TurnsReport measure_turns(const TurnsOptions& options) {
  engine::EngineOptions sized = options.engine;
  sized.thread_count = engine::worker_count(options.engine);
  sized.max_num_seqs = 2;
  sized.max_model_len = options.context + options.added + 1;
  sized.prefix_caching = true;
  const checkpoint::Checkpoint files = checkpoint::Checkpoint::open(options.model);
  return measure_turns(*engine::open_runner(files, sized), options);
}

std::string turns_summary(const TurnsReport& r) {
  const double warm = median(r.warm_seconds);
  return fmt::format(
      "{} on {}, leg {}: seconds to the first token\n"
      "  first turn, {} tokens                     {:10.4f}\n"
      "  second turn, {} more, nothing cached      {:10.4f}\n"
      "  second turn, {} of its tokens cached      {:10.4f}   ({:.1f} times as fast; median of {})\n"
      "  its {} new tokens as a prompt of their own {:9.4f}\n"
      "  logits cold and warm: {}\n",
      r.model, r.device, r.leg, r.context, r.first_seconds, r.added, r.cold_seconds, r.cached_tokens, warm, r.cold_seconds / warm,
      r.warm_seconds.size(), r.added, r.alone_seconds, r.same_bits ? "the same bits" : "other bits");
}

Json turns_json(const TurnsReport& r) {
  return {{"model", r.model}, {"device", r.device}, {"leg", r.leg}, {"context_tokens", r.context}, {"added_tokens", r.added},
          {"first_turn_seconds", r.first_seconds}, {"cold_seconds", r.cold_seconds}, {"warm_seconds", r.warm_seconds},
          {"added_alone_seconds", r.alone_seconds}, {"cached_tokens", r.cached_tokens}, {"same_bits", r.same_bits}};
}

}  // namespace nvllm::bench
