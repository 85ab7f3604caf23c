// The ways in which recurrent state leaks from one request, step or chunk into another, one test each.
// same_bits_test.cc covers company, pre-emption and poisoned memory; docs/state_isolation.md lists all.

#include <gtest/gtest.h>

#include <random>

#include "support/model_trace.h"

namespace nvllm::engine {
namespace {

std::vector<std::int32_t> random_prompt(std::int64_t length, std::uint64_t seed) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < length; ++i) {
    const std::uint64_t bits = random_bits(seed, static_cast<std::uint64_t>(i));
    ids.push_back(static_cast<std::int32_t>(bits % static_cast<std::uint64_t>(test::tiny_hybrid().config().vocab_size)));
  }
  return ids;
}

TEST(StateIsolation, EverySplitOfAPromptInTwoGivesTheBitsOfOnePass) {
  constexpr std::int64_t kTokens = 130;
  const auto runner = make_cpu_runner(test::tiny_hybrid(), test::tiny_options(1, 0));
  std::string hash;
  runner->set_logit_listener([&](const StepPlan&, View<const float> logits) {
    hash = sha256_hex(std::as_bytes(std::span(logits.row(0), static_cast<std::size_t>(logits.cols))));
  });
  const std::vector<std::int32_t> ids = random_prompt(kTokens, 1);
  const std::vector<std::int32_t> blocks = {4, 1, 7, 0, 2, 9, 3, 5, 8};
  std::uint64_t epoch = 0;
  const auto run = [&](std::int64_t start, std::int64_t count) {
    StepPlan plan;
    plan.ids.assign(ids.begin() + start, ids.begin() + start + count);
    plan.segments = {{.first_row = 0, .token_count = count, .start = start, .slot = 0, .slot_epoch = epoch, .blocks = blocks}};
    plan.logit_rows = {count - 1};
    runner->run(plan);
    return hash;
  };
  ++epoch;
  const std::string whole = run(0, kTokens);
  for (std::int64_t first = 1; first < kTokens; ++first) {
    ++epoch;
    ASSERT_NE(run(0, first), whole) << "the first part of a prompt must not already have its logits";
    ASSERT_EQ(run(first, kTokens - first), whole) << "split after token " << first;
  }
}

TEST(StateIsolation, PromptsAroundTwoChunksOfSixtyFourGiveTheSameBitsInAnyCompany) {
  std::vector<test::TraceRequest> wanted;
  for (const std::int64_t length : {127, 128, 129, 130, 1, 2, 6}) {
    wanted.push_back({.prompt = random_prompt(length, 10 + static_cast<std::uint64_t>(length))});
  }
  const test::TraceHashes alone = test::Tracer(make_cpu_runner(test::tiny_hybrid(), test::tiny_options(1, 0))).run(wanted);
  ASSERT_EQ(alone.size(), wanted.size());
  for (const std::int64_t chunk : {0, 64, 128}) {
    EXPECT_EQ(test::Tracer(make_cpu_runner(test::tiny_hybrid(), test::tiny_options(7, chunk))).run(wanted), alone) << chunk;
  }
}

/// Tokens and their log-probabilities, to the last bit.
std::vector<std::pair<std::int32_t, float>> answer_of(TokenStream& stream) {
  std::vector<std::pair<std::int32_t, float>> out;
  for (;;) {
    const StreamEvent event = stream.wait();
    for (const ScoredToken& token : event.tokens) out.emplace_back(token.id, token.logprob.value_or(1.0f));
    if (event.finish == FinishReason::kNone) continue;
    EXPECT_EQ(event.finish, FinishReason::kLength) << event.error;
    return out;
  }
}

GenerationRequest canary() {
  GenerationRequest request;
  request.prompt = random_prompt(37, 99);
  request.max_tokens = 12;
  request.sampling.temperature = 0;
  request.sampling.top_logprobs = 0;
  return request;
}

TEST(StateIsolation, ACanaryAnswersTheSameThroughRandomArrivalsAndCancellations) {
  EngineOptions options = test::tiny_options(6, 16);
  options.kv_block_count = 24;  // six sequences of up to 160 tokens want 60: some are pre-empted
  Engine engine(make_cpu_runner(test::tiny_hybrid(), options), 64);
  const auto expected = answer_of(*engine.submit(canary()).stream);
  ASSERT_EQ(expected.size(), 12u);
  std::mt19937 draw(5);
  std::vector<std::shared_ptr<TokenStream>> others;
  for (int round = 0; round < 25; ++round) {
    for (int i = 0; i < 6; ++i) {
      GenerationRequest request;
      request.prompt = random_prompt(1 + draw() % 120, 1000 + draw() % 1000);
      request.max_tokens = 1 + draw() % 30;
      Submission submission = engine.submit(std::move(request));
      if (submission.outcome == SubmitOutcome::kAccepted) others.push_back(submission.stream);
    }
    const Submission watched = engine.submit(canary());
    for (std::size_t i = 0; i < 3 && !others.empty(); ++i) others[draw() % others.size()]->cancel();
    if (watched.outcome != SubmitOutcome::kAccepted) continue;  // the inbox is bounded; later rounds ask again
    ASSERT_EQ(answer_of(*watched.stream), expected) << "round " << round;
  }
  EXPECT_EQ(answer_of(*engine.submit(canary()).stream), expected);
  EXPECT_GT(engine.stats().steps, 100);
}

}  // namespace
}  // namespace nvllm::engine
