// Whole models on a GPU: equal bits where they are asked for, and logits beside those of the
// double-precision reference.

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <numeric>

#include "engine/runner_cuda.h"
#include "engine/sampling.h"
#include "support/distance.h"
#include "support/model_trace.h"

namespace nvllm::test {
namespace {

using engine::EngineOptions;

/// The demo model, beside the sources or below where the tests are started.
const checkpoint::Checkpoint& demo() {
  static const std::filesystem::path source = NVLLM_SOURCE_DIR "/models/demo";
  static const checkpoint::Checkpoint files =
      checkpoint::Checkpoint::open(std::filesystem::exists(source) ? source : "models/demo");
  return files;
}

EngineOptions gpu_options(std::int64_t sequences, std::int64_t chunk, bool deterministic) {
  EngineOptions options = tiny_options(sequences, chunk);
  options.device = "cuda";
  options.max_num_batched_tokens = deterministic ? 64 : 512;
  options.deterministic = deterministic;
  options.leg = "every-beta";
  return options;
}

std::unique_ptr<engine::Runner> gpu_runner(const EngineOptions& options) {
  return engine::make_cuda_runner(demo(), options, engine::plan_cuda_memory(demo(), options));
}

class GpuRunner : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = engine::why_no_cuda(); !why.empty()) GTEST_SKIP() << why;
  }
};

/// Lengths around every boundary and some more of them, which arrive one after the other.
std::vector<TraceRequest> requests() {
  std::vector<TraceRequest> out = boundary_requests(demo().config().vocab_size, 7);
  for (std::uint64_t i = 0; i < 20; ++i) {
    std::vector<TraceRequest> more = boundary_requests(demo().config().vocab_size, 100 + i);
    out.push_back(std::move(more[3 + i % 4]));
  }
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i].arrival_step = static_cast<std::int64_t>(i / 3);
  return out;
}

TraceHashes trace(const EngineOptions& options) {
  return Tracer(gpu_runner(options)).run(requests());
}

TEST_F(GpuRunner, DeterministicBitsAreTheSameInAnyBatchChunkingFusedLegAndRecomputation) {
  const TraceHashes alone = trace(gpu_options(1, 0, true));
  for (const auto& [sequences, chunk] :
       {std::pair{1, 1}, {1, 7}, {3, 0}, {8, 16}, {17, 0}, {33, 5}}) {
    EXPECT_EQ(trace(gpu_options(sequences, chunk, true)), alone)
        << sequences << " sequences, chunks of " << chunk;
  }
  for (const std::string& leg : leg_names()) {
    EngineOptions options = gpu_options(9, 0, true), by_itself = gpu_options(1, 0, true);
    options.leg = by_itself.leg = leg;
    // The words of the delta rule sum in another order than its fused kernel, so spelled-out has
    // bits of its own.
    EXPECT_EQ(trace(options), leg == "spelled-out" ? trace(by_itself) : alone) << leg;
  }
  EngineOptions tight = gpu_options(17, 0, true);
  tight.kv_block_count = 14;
  Tracer tracer(gpu_runner(tight));
  EXPECT_EQ(tracer.run(requests()), alone);
  EXPECT_GT(tracer.stats().preemptions, 0);
}

TEST_F(GpuRunner, DeterministicBitsAreTheSameColdAndGoneOnFromACachedBeginning) {
  const std::vector<TraceRequest> related = related_requests(demo().config().vocab_size, 1, 40);
  const TraceHashes cold = Tracer(gpu_runner(gpu_options(1, 0, true))).run(related);
  for (const bool fp8 : {false, true}) {
    EngineOptions options = gpu_options(5, 0, true), by_itself = gpu_options(1, 0, true);
    options.kv_cache_dtype = by_itself.kv_cache_dtype = fp8 ? "fp8_e4m3" : "auto";
    options.state_dtype = by_itself.state_dtype = fp8 ? "bfloat16" : "auto";
    options.prefix_caching = true;
    options.prefix_interval = 24;
    options.kv_block_count = 40;  // so that some is evicted
    Tracer tracer(gpu_runner(options));
    const TraceHashes expected = fp8 ? Tracer(gpu_runner(by_itself)).run(related) : cold;
    EXPECT_EQ(tracer.run(related), expected);
    EXPECT_EQ(tracer.run(related), expected);
    EXPECT_GT(tracer.stats().prefix.hits, 20);
    EXPECT_GT(tracer.stats().prefix.evictions, 0);
  }
}

TEST_F(GpuRunner, WithoutTheFlagBitsDependOnCompany) {
  // Or the test above could not fail.
  EXPECT_NE(trace(gpu_options(8, 0, false)), trace(gpu_options(1, 0, false)));
}

TEST_F(GpuRunner, TheSameRunGivesTheSameBits) {
  for (const std::int64_t sequences : {1, 8, 17}) {
    EXPECT_EQ(trace(gpu_options(sequences, 16, false)), trace(gpu_options(sequences, 16, false)))
        << sequences;
  }
}

/// Logits after every token of a prompt, by the chunks that options ask for; after the last alone
/// unless `all`.
template <class Runner>
std::vector<std::vector<float>> prompt_logits(std::unique_ptr<Runner> runner,
                                              const std::vector<std::int32_t>& prompt,
                                              bool all = true) {
  std::vector<std::vector<float>> rows;
  runner->set_logit_listener([&](const engine::StepPlan&, View<const float> logits) {
    for (std::int64_t row = 0; row < logits.rows; ++row)
      rows.emplace_back(logits.row(row), logits.row(row) + logits.cols);
  });
  auto sequence = std::make_unique<engine::Sequence>();
  sequence->request.prompt = prompt;
  sequence->request.max_tokens = 1;
  sequence->request.sampling.temperature = 0;
  sequence->request.sampling.prompt_logprobs = all ? 0 : -1;
  sequence->stream = std::make_shared<engine::TokenStream>();
  engine::Scheduler scheduler(runner->limits());
  scheduler.add(std::move(sequence));
  while (!scheduler.idle()) scheduler.commit(runner->run(scheduler.plan()));
  return rows;
}

Distance distance(const std::vector<std::vector<float>>& a,
                  const std::vector<std::vector<float>>& b) {
  Distance out;
  EXPECT_EQ(a.size(), b.size());
  for (std::size_t row = 0; row < std::min(a.size(), b.size()); ++row) {
    for (std::size_t i = 0; i < a[row].size(); ++i)
      out.add(static_cast<double>(a[row][i]) - b[row][i]);
  }
  return out;
}

/// How a prompt is brought.
struct Way {
  const char* name;
  std::int64_t chunk;
  bool all;
};

TEST_F(GpuRunner, LogitsAreNoFartherFromTheReferenceThanThoseOfTheCpuTwice) {
  std::vector<std::int32_t> prompt;
  for (std::uint64_t i = 0; i < 130; ++i) {
    prompt.push_back(static_cast<std::int32_t>(
        random_bits(5, i) % static_cast<std::uint64_t>(demo().config().vocab_size)));
  }
  EngineOptions options = tiny_options(1, 0);
  options.leg = "spelled-out";
  const auto reference = prompt_logits(engine::make_reference_runner(demo(), options), prompt);
  const Distance cpu =
      distance(prompt_logits(engine::make_cpu_runner(demo(), options), prompt), reference);
  std::printf("%-14s %-18s largest %.4f  rms %.4f\n", "cpu", "", cpu.largest, cpu.rms());
  for (const Way way :
       {Way{"in pieces", 0, true}, {"token by token", 1, true}, {"whole", 0, false}}) {
    std::vector<std::vector<float>> first;
    for (const std::string& leg : leg_names()) {
      options = gpu_options(1, way.chunk, false);
      options.leg = leg;
      const auto logits = prompt_logits(gpu_runner(options), prompt, way.all);
      if (first.empty()) first = logits;
      const Distance gpu =
          distance(logits, way.all ? reference : std::vector<std::vector<float>>{reference.back()});
      std::printf("%-14s %-18s largest %.4f  rms %.4f  from %s %.4f\n", leg.c_str(), way.name,
                  gpu.largest, gpu.rms(), leg_names().front().c_str(),
                  distance(logits, first).largest);
      EXPECT_LE(gpu.largest, 2 * cpu.largest) << leg << ", " << way.name;
      EXPECT_LE(gpu.rms(), 2 * cpu.rms()) << leg << ", " << way.name;
    }
  }
}

/// How far logits are from others, as a share of what they differ among themselves; what is added
/// to all of them changes no probability and is left out.
double share_apart(const std::vector<float>& logits, const std::vector<float>& exact) {
  const auto mean = [](const std::vector<float>& of) {
    return std::accumulate(of.begin(), of.end(), 0.0) / static_cast<double>(of.size());
  };
  const double of_logits = mean(logits), of_exact = mean(exact);
  Distance apart, size;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    apart.add(logits[i] - of_logits - (exact[i] - of_exact));
    size.add(exact[i] - of_exact);
  }
  return apart.rms() / size.rms();
}

TEST_F(GpuRunner, ActivationsRoundedToNvfp4MoveLogitsAsFarAsTheReferenceSaysOfThem) {
  constexpr std::uint64_t kPrompts = 6;
  EngineOptions exact = gpu_options(1, 0, false), rounded = exact;
  exact.prefill_activations = "bf16";
  rounded.prefill_activations = "nvfp4";
  double sum = 0;
  for (std::uint64_t seed = 5; seed < 5 + kPrompts; ++seed) {
    std::vector<std::int32_t> prompt;
    for (std::uint64_t i = 0; i < 130; ++i) {
      prompt.push_back(static_cast<std::int32_t>(
          random_bits(seed, i) % static_cast<std::uint64_t>(demo().config().vocab_size)));
    }
    const double share = share_apart(prompt_logits(gpu_runner(rounded), prompt, false).at(0),
                                     prompt_logits(gpu_runner(exact), prompt, false).at(0));
    std::printf("nvfp4 activations, prompt %d: %.3f of the logits\n", static_cast<int>(seed), share);
    sum += share;
  }
  // The double-precision reference with activations rounded alike is 0.20 to 0.40 away from itself on these
  // prompts of random tokens, 0.27 in the mean.
  EXPECT_GT(sum / kPrompts, 0.1) << "nothing was rounded";
  EXPECT_LT(sum / kPrompts, 0.5);
}

/// Counts what it hears.
class Heard final : public LaunchListener {
 public:
  void on_launch(const LaunchNote& note) override {
    ++calls[std::string(note.operation)];
    bytes[std::string(note.operation)] += note.cost.bytes;
    EXPECT_GE(note.begin, last) << note.operation;
    EXPECT_GE(note.seconds, 0) << note.operation;
    last = note.begin;
    seconds += note.seconds;
  }
  void on_clock(LaunchClock of) override { clock = of; }
  void on_lost(std::int64_t kernels) override { lost += kernels; }

  std::map<std::string, std::int64_t> calls, bytes;
  LaunchClock clock = LaunchClock::kHost;
  std::int64_t lost = 0;
  double seconds = 0;
  SteadyTime last{};
};

/// A step of one sequence, and the tokens that came of it.
struct OneStep {
  std::int64_t start, count;
  double temperature;
};
constexpr OneStep kSteps[] = {{0, 100, 0}, {100, 1, 0}, {101, 1, 0}, {102, 1, 0.8}, {103, 1, 0}};

std::vector<std::int32_t> tokens_of(engine::Runner& runner, std::vector<Heard>* heard) {
  std::vector<std::int32_t> blocks(8), tokens;
  std::iota(blocks.begin(), blocks.end(), 0);
  for (const OneStep& step : kSteps) {
    const engine::SamplingParams sampling{.temperature = step.temperature, .seed = {}, .logit_bias = {}};
    engine::StepPlan plan;
    for (std::int64_t i = 0; i < step.count; ++i) plan.ids.push_back(tokens.empty() ? static_cast<std::int32_t>(40 + i) : tokens.back());
    plan.segments.push_back({.token_count = step.count, .start = step.start, .slot = 0, .slot_epoch = 1, .blocks = blocks});
    plan.logit_rows.push_back(step.count - 1);
    plan.samples.push_back({.logit_index = 0, .params = &sampling, .seed = 3, .prompt = {}, .output = tokens, .banned = {}});
    if (heard != nullptr) runner.set_launch_listener(&heard->emplace_back());
    tokens.push_back(runner.run(plan).samples.at(0).id);
    runner.set_launch_listener(nullptr);
  }
  return tokens;
}

TEST_F(GpuRunner, AListenerHearsEveryKernelOfStepsAsTheyRunAndChangesNothing) {
  const EngineOptions options = gpu_options(2, 0, false);
  const std::unique_ptr<engine::Runner> runner = gpu_runner(options);
  const std::vector<std::int32_t> unheard = tokens_of(*runner, nullptr);
  std::vector<Heard> heard;
  EXPECT_EQ(tokens_of(*runner, &heard), unheard);
  EXPECT_EQ(tokens_of(*runner, nullptr), unheard);
  const std::int64_t attention = std::ranges::count(demo().config().layers, checkpoint::LayerKind::kFullAttention);
  for (std::size_t i = 0; i < heard.size(); ++i) {
    if (heard[i].clock == LaunchClock::kBetweenLaunches) GTEST_SKIP() << "the driver's trace is not to be had here";
    EXPECT_EQ(heard[i].clock, LaunchClock::kDeviceTrace);
    EXPECT_EQ(heard[i].lost, 0) << "step " << i;
    EXPECT_EQ(heard[i].calls["greedy_choice"], 1) << "step " << i;
    EXPECT_EQ(heard[i].calls["draw_tokens"], kSteps[i].temperature > 0 ? 1 : 0) << "step " << i;
    EXPECT_GT(heard[i].seconds, 0);
    if (i == 0) continue;
    EXPECT_EQ(heard[i].calls["PhaseE_Beta_Kernel"], attention) << "step " << i;
    if (kSteps[i].temperature == 0) {
      EXPECT_EQ(heard[i].calls, heard[1].calls) << "step " << i;
    }
    if (i > 1) {  // attention reads one position more than a step before
      EXPECT_GT(heard[i].bytes["PhaseE_Beta_Kernel"], heard[i - 1].bytes["PhaseE_Beta_Kernel"]);
    }
  }
}

/// Between decode steps as graphs, which take the likeliest token for the next one where nobody says otherwise.
TEST_F(GpuRunner, ForcesATokenAndGoesOnFromIt) {
  const engine::SamplingParams greedy{.temperature = 0, .seed = {}, .logit_bias = {}, .top_logprobs = 0};
  const std::vector<std::int32_t> prompt = {3, 141, 59, 26, 5};
  const auto serve = [&](std::vector<std::int32_t> ids, std::int64_t count, std::optional<engine::ThinkingBudget> budget) {
    const std::unique_ptr<engine::Runner> runner = gpu_runner(gpu_options(1, 0, true));
    engine::Scheduler scheduler(runner->limits());
    auto sequence = std::make_unique<engine::Sequence>();
    sequence->request.prompt = std::move(ids);
    sequence->request.max_tokens = count;
    sequence->request.sampling = greedy;
    sequence->request.thinking = budget;
    sequence->stream = std::make_shared<engine::TokenStream>();
    const auto stream = sequence->stream;
    scheduler.add(std::move(sequence));
    while (!scheduler.idle()) scheduler.commit(runner->run(scheduler.plan()));
    std::vector<std::int32_t> out;
    for (const engine::ScoredToken& token : stream->poll().tokens) out.push_back(token.id);
    return out;
  };
  const std::vector<std::int32_t> unbounded = serve(prompt, 12, {});
  std::int32_t end = 0;
  while (std::ranges::count(unbounded, end) > 0) ++end;
  std::vector<std::int32_t> expected(unbounded.begin(), unbounded.begin() + 5), longer = prompt;
  expected.push_back(end);
  longer.insert(longer.end(), expected.begin(), expected.end());
  for (const std::int32_t id : serve(longer, 6, {})) expected.push_back(id);
  EXPECT_EQ(serve(prompt, 12, engine::ThinkingBudget{.begin_id = -1, .end_id = end, .tokens_max = 5}), expected);
}

/// Requests that want something of every kind besides the likeliest token, more of them than are adjusted at once.
std::vector<engine::GenerationRequest> particular_requests() {
  std::vector<engine::SamplingParams> wanted(13);
  for (std::size_t i = 0; i < 8; ++i) wanted[i].temperature = 0;
  wanted[0].top_logprobs = 5;
  wanted[1].presence_penalty = 1.5;
  wanted[1].top_logprobs = 0;
  wanted[2].frequency_penalty = 0.7;
  wanted[2].top_logprobs = 20;
  wanted[3].repetition_penalty = 1.3;
  wanted[4].logit_bias = {{5, 4.0f}, {9, -100.0f}, {4095, 2.5f}};
  wanted[4].top_logprobs = 5;
  wanted[5].repetition_penalty = 0.8;
  wanted[5].presence_penalty = -0.4;
  wanted[5].top_logprobs = 32;
  wanted[6].top_logprobs = 40;  // the host's
  wanted[7].logit_bias = {{5, 4.0f}, {5, 1.0f}};  // the host's as well
  wanted[7].top_logprobs = 1;
  wanted[8].presence_penalty = 1.0;
  wanted[8].temperature = 0.8;
  wanted[9].repetition_penalty = 1.2;
  wanted[9].top_k = 1;
  wanted[10].logit_bias = {{17, 3.0f}};
  wanted[10].top_logprobs = 5;
  wanted[11].presence_penalty = wanted[11].frequency_penalty = 0.3;
  wanted[11].repetition_penalty = 1.1;
  wanted[11].logit_bias = {{17, -3.0f}};
  wanted[11].min_p = 0.05;
  wanted[11].top_logprobs = 5;
  wanted[12].top_p = 0.9;
  wanted[12].repetition_penalty = 1.1;
  wanted[12].top_logprobs = 3;
  std::vector<engine::GenerationRequest> out;
  for (std::uint64_t i = 0; i < 17; ++i) {
    engine::GenerationRequest request;
    for (std::uint64_t k = 0; k < 20 + 3 * i; ++k) {
      request.prompt.push_back(static_cast<std::int32_t>(random_bits(90 + i, k) % static_cast<std::uint64_t>(demo().config().vocab_size)));
    }
    request.max_tokens = 24;
    if (i < wanted.size()) {
      request.sampling = wanted[i];
    } else {  // a third of the vocabulary is impossible: three such tasks have more edits than are uploaded at once
      request.sampling.temperature = i % 2 == 0 ? 0 : 1;
      request.sampling.top_logprobs = 2;
      for (std::int32_t id = 0; id < demo().config().vocab_size; id += 3) request.stop_ids.push_back(id);
      request.min_tokens = 24;
    }
    out.push_back(std::move(request));
  }
  return out;
}

/// Runs requests beside each other and calls check(task, logits, token) for every token.
template <class Check>
void run_together(engine::Runner& runner, const std::vector<engine::GenerationRequest>& requests, const Check& check) {
  std::vector<std::vector<float>> rows;
  runner.set_logit_listener([&](const engine::StepPlan&, View<const float> logits) {
    rows.clear();
    for (std::int64_t row = 0; row < logits.rows; ++row) rows.emplace_back(logits.row(row), logits.row(row) + logits.cols);
  });
  engine::Scheduler scheduler(runner.limits());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto sequence = std::make_unique<engine::Sequence>();
    sequence->request = requests[i];
    sequence->seed = i;
    sequence->stream = std::make_shared<engine::TokenStream>();
    scheduler.add(std::move(sequence));
  }
  while (!scheduler.idle()) {
    const engine::StepPlan plan = scheduler.plan();
    engine::StepResult result = runner.run(plan);
    ASSERT_EQ(result.samples.size(), plan.samples.size());
    for (std::size_t i = 0; i < plan.samples.size(); ++i)
      check(plan.samples[i], rows.at(static_cast<std::size_t>(plan.samples[i].logit_index)), result.samples[i]);
    scheduler.commit(std::move(result));
  }
  runner.set_logit_listener({});
}

TEST_F(GpuRunner, SamplesAsTheHostsSamplerDoesFromTheSameLogits) {
  const std::unique_ptr<engine::Runner> runner = gpu_runner(gpu_options(17, 0, false));
  engine::Sampler sampler(runner->limits().vocab_size);
  std::vector<std::int32_t> tokens;
  std::int64_t drawn = 0, drawn_differently = 0;
  run_together(*runner, particular_requests(), [&](const engine::SampleTask& task, const std::vector<float>& logits,
                                                   const engine::ScoredToken& token) {
    const engine::SamplingParams& p = *task.params;
    tokens.push_back(token.id);
    ASSERT_GE(token.id, 0);
    const std::int32_t by_host = sampler.sample(logits, task).id;
    if (p.temperature == 0 || p.top_k == 1) {
      EXPECT_EQ(token.id, by_host);
    } else if (p.top_p == 1) {  // or what is kept is walked through in another order
      ++drawn;
      drawn_differently += token.id == by_host ? 0 : 1;
    }
    EXPECT_FALSE(std::ranges::count(task.banned, token.id)) << token.id;
    EXPECT_EQ(token.logprob.has_value(), p.top_logprobs >= 0);
    EXPECT_TRUE(token.logprob.has_value() || token.top.empty());
    if (!token.logprob) return;
    const engine::ScoredToken scored = sampler.score(logits, {.logit_index = 0, .target = token.id, .top_count = p.top_logprobs});
    EXPECT_NEAR(*token.logprob, *scored.logprob, 1e-4);
    ASSERT_EQ(token.top.size(), scored.top.size());
    for (std::size_t i = 0; i < scored.top.size(); ++i) {
      EXPECT_EQ(token.top[i].id, scored.top[i].id) << "alternative " << i << " of " << scored.top.size();
      EXPECT_NEAR(token.top[i].logprob, scored.top[i].logprob, 1e-4);
    }
  });
  EXPECT_EQ(tokens.size(), 17u * 24u);
  EXPECT_GE(drawn, 100);
  // A number that falls between two tokens, but for the rounding of their weights, takes either.
  EXPECT_LE(drawn_differently, 1);

  Heard heard;
  runner->set_launch_listener(&heard);
  std::vector<std::int32_t> again;
  run_together(*runner, particular_requests(),
               [&](const engine::SampleTask&, const std::vector<float>&, const engine::ScoredToken& token) { again.push_back(token.id); });
  runner->set_launch_listener(nullptr);
  // Without a trace steps are no graphs then, so that lanes are not padded.
  if (heard.clock == LaunchClock::kBetweenLaunches) GTEST_SKIP() << "the driver's trace is not to be had here";
  EXPECT_EQ(again, tokens) << "a listener changes nothing";
  EXPECT_EQ(heard.lost, 0);
  for (const char* operation : {"greedy_choice", "draw_tokens", "adjust_logits", "report_tokens"})
    EXPECT_GE(heard.calls[operation], 24) << operation;
}

}  // namespace
}  // namespace nvllm::test
