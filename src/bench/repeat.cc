#include "bench/repeat.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>

#include "base/hashing.h"
#include "checkpoint/checkpoint.h"
#include "engine/runner_cpu.h"
#include "engine/scheduler.h"

namespace nvllm::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kShown = 20;

std::uint64_t hash_of(const float* logits, std::int64_t count) {
  std::uint64_t hash = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, logits + i, sizeof bits);
    hash = random_bits(hash, bits);
  }
  return hash;
}

/// Hashes of the logits of every draw of one batch, step by step.
std::vector<std::uint64_t> ask_once(engine::Runner& runner, const RepeatOptions& options) {
  std::vector<std::uint64_t> hashes;
  runner.set_logit_listener([&](const engine::StepPlan& plan, View<const float> logits) {
    for (const engine::SampleTask& task : plan.samples)
      hashes.push_back(hash_of(logits.row(task.logit_index), logits.cols));
  });
  engine::Scheduler scheduler(runner.limits());
  for (std::int64_t n = 0; n < options.batch; ++n) {
    auto sequence = std::make_unique<engine::Sequence>();
    for (std::int64_t i = 0; i < options.prompt_tokens; ++i) {
      sequence->request.prompt.push_back(
          static_cast<std::int32_t>((7919 * i + 13) % runner.limits().vocab_size));
    }
    sequence->request.max_tokens = options.tokens;
    sequence->request.sampling.temperature = 0;
    sequence->stream = std::make_shared<engine::TokenStream>();
    scheduler.add(std::move(sequence));
  }
  while (!scheduler.idle()) scheduler.commit(runner.run(scheduler.plan()));
  runner.set_logit_listener({});
  return hashes;
}

}  // namespace

RepeatReport repeat_request(engine::Runner& runner, const RepeatOptions& options) {
  RepeatReport report{.model = options.model,
                      .device = runner.limits().device,
                      .leg = runner.limits().leg,
                      .batch = options.batch,
                      .tokens = options.tokens,
                      .others = {}};
  const auto begin = Clock::now();
  std::vector<std::uint64_t> first;
  do {
    const std::vector<std::uint64_t> hashes = ask_once(runner, options);
    if (++report.rounds == 1) first = hashes;
    if (hashes != first) {
      const auto at = std::ranges::mismatch(hashes, first).in1 - hashes.begin();
      report.others.push_back({.round = report.rounds, .draw = at / options.batch});
    }
    report.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  } while (report.rounds < 2 || report.seconds < options.seconds);
  return report;
}

RepeatReport repeat_request(const RepeatOptions& options) {
  engine::EngineOptions sized = options.engine;
  sized.thread_count = engine::worker_count(options.engine);
  sized.max_num_seqs = options.batch;
  sized.max_model_len = options.prompt_tokens + options.tokens;
  const checkpoint::Checkpoint files = checkpoint::Checkpoint::open(options.model);
  return repeat_request(*engine::open_runner(files, sized), options);
}

std::string repeat_summary(const RepeatReport& r) {
  std::string text = fmt::format(
      "{} on {}, leg {}: {} rounds of {} x {} tokens in {:.0f} s, {} with other bits than the "
      "first\n",
      r.model, r.device, r.leg, r.rounds, r.batch, r.tokens, r.seconds, r.others.size());
  for (std::size_t i = 0; i < std::min(kShown, r.others.size()); ++i) {
    text += fmt::format("  round {} from draw {} on\n", r.others[i].round, r.others[i].draw);
  }
  return text;
}

Json repeat_json(const RepeatReport& r) {
  Json json{{"model", r.model},     {"device", r.device},     {"leg", r.leg},
            {"rounds", r.rounds},   {"batch", r.batch},       {"tokens", r.tokens},
            {"seconds", r.seconds}, {"others", Json::array()}};
  for (const OtherBits& one : r.others)
    json["others"].push_back({{"round", one.round}, {"draw", one.draw}});
  return json;
}

}  // namespace nvllm::bench
