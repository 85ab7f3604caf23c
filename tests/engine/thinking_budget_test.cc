// A budget for thoughts: a forced token that follows from the output alone.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "engine/sampling.h"
#include "support/model_trace.h"

namespace nvllm::engine {
namespace {

using Ids = std::vector<std::int32_t>;

constexpr std::int32_t kBegin = 90, kEnd = 91;

std::int32_t forced(const ThinkingBudget& budget, const Ids& output) {
  return forced_token(budget, output);
}

TEST(ForcedToken, EndsThoughtsThatThePromptOpenedWhenTheBudgetIsSpent) {
  const ThinkingBudget budget{.begin_id = -1, .end_id = kEnd, .tokens_max = 2};
  EXPECT_EQ(forced(budget, {}), -1);
  EXPECT_EQ(forced(budget, {1}), -1);
  EXPECT_EQ(forced(budget, {1, 2}), kEnd);
  EXPECT_EQ(forced(budget, {1, 2, kEnd}), -1);
  EXPECT_EQ(forced(budget, {1, 2, kEnd, 4, 5, 6}), -1);
  EXPECT_EQ(forced({.begin_id = -1, .end_id = kEnd, .tokens_max = 0}, {}), kEnd);
}

TEST(ForcedToken, LeavesThoughtsAloneThatEndedByThemselves) {
  const ThinkingBudget budget{.begin_id = -1, .end_id = kEnd, .tokens_max = 2};
  EXPECT_EQ(forced(budget, {kEnd, 1}), -1);
  EXPECT_EQ(forced(budget, {1, kEnd}), -1);
}

TEST(ForcedToken, CountsFromTheTokenThatOpensThoughts) {
  const ThinkingBudget budget{.begin_id = kBegin, .end_id = kEnd, .tokens_max = 2};
  EXPECT_EQ(forced(budget, {1, 2}), -1);
  EXPECT_EQ(forced(budget, {kBegin, 1}), -1);
  EXPECT_EQ(forced(budget, {kBegin, 1, 2}), kEnd);
  EXPECT_EQ(forced(budget, {7, 7, 7, kBegin, 1, 2}), kEnd);
  // Further on it is a word about thoughts.
  EXPECT_EQ(forced(budget, {7, 7, 7, 7, kBegin, 1, 2}), -1);
  EXPECT_EQ(forced({.begin_id = kBegin, .end_id = kEnd, .tokens_max = 0}, {kBegin}), kEnd);
}

TEST(Sampler, TakesAForcedTokenAndReportsTheProbabilityThatItHad) {
  const std::vector<float> logits = {1.0f, 3.0f, 2.0f};
  Sampler sampler(3);
  for (const double temperature : {0.0, 1.0}) {
    const SamplingParams params{
        .temperature = temperature, .seed = {}, .logit_bias = {}, .top_logprobs = 1};
    const Ids banned = {0};
    const ScoredToken token = sampler.sample(
        logits, {.params = &params, .prompt = {}, .output = {}, .banned = banned, .forced = 0});
    EXPECT_EQ(token.id, 0);
    EXPECT_EQ(token.logprob, sampler.score(logits, {.target = 0}).logprob);
    EXPECT_EQ(token.top.at(0).id, 1);
  }
}

TEST(Sampler, StillSeesThatLogitsAreNotFiniteWhereATokenIsForced) {
  const SamplingParams params;
  Sampler sampler(2);
  const std::vector<float> logits = {1.0f, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_EQ(sampler
                .sample(logits,
                        {.params = &params, .prompt = {}, .output = {}, .banned = {}, .forced = 0})
                .id,
            -1);
}

/// What one request gave.
struct Given {
  Ids ids;
  std::vector<float> logprobs;
  bool operator==(const Given&) const = default;
};

struct Served {
  std::vector<Given> given;
  std::int64_t preemptions = 0;
};

/// Serves requests on the small hybrid, as the options say.
Served serve(const EngineOptions& options, const std::vector<GenerationRequest>& requests) {
  const auto runner = make_cpu_runner(test::tiny_hybrid(), options);
  Scheduler scheduler(runner->limits());
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (const GenerationRequest& request : requests) {
    auto sequence = std::make_unique<Sequence>();
    sequence->request = request;
    sequence->seed = request.sampling.seed.value_or(0);
    sequence->stream = std::make_shared<TokenStream>();
    streams.push_back(sequence->stream);
    scheduler.add(std::move(sequence));
  }
  while (!scheduler.idle()) scheduler.commit(runner->run(scheduler.plan()));
  Served out;
  for (const auto& stream : streams) {
    Given given;
    for (const ScoredToken& token : stream->poll().tokens) {
      given.ids.push_back(token.id);
      given.logprobs.push_back(token.logprob.value_or(1));
    }
    out.given.push_back(std::move(given));
  }
  EngineStats stats;
  scheduler.report(stats);
  out.preemptions = stats.preemptions;
  return out;
}

GenerationRequest request(Ids prompt, std::int64_t max_tokens) {
  GenerationRequest out;
  out.prompt = std::move(prompt);
  out.max_tokens = max_tokens;
  out.sampling.temperature = 0;
  out.sampling.top_logprobs = 0;
  return out;
}

const Ids kPrompt = {3, 141, 59, 26, 5};

/// An id that the model does not choose by itself after this prompt.
std::int32_t unused_id(const Ids& output) {
  std::int32_t id = 0;
  while (std::find(output.begin(), output.end(), id) != output.end()) ++id;
  return id;
}

TEST(ThinkingBudget, PutsTheEndWhereThePromptOfAnotherRequestWouldHaveIt) {
  const EngineOptions options = test::tiny_options(1, 0);
  const Given free = serve(options, {request(kPrompt, 12)}).given.at(0);
  const std::int32_t end = unused_id(free.ids);
  for (const std::int64_t tokens : {0, 1, 5}) {
    GenerationRequest bounded = request(kPrompt, 12);
    bounded.thinking = {.begin_id = -1, .end_id = end, .tokens_max = tokens};
    const Given given = serve(options, {bounded}).given.at(0);
    Ids expected(free.ids.begin(), free.ids.begin() + tokens);
    expected.push_back(end);
    Ids longer = kPrompt;
    longer.insert(longer.end(), expected.begin(), expected.end());
    // The same tokens as a prompt: their probabilities, and what the model says next.
    GenerationRequest written = request(longer, 12 - tokens - 1);
    const Given rest = serve(options, {written}).given.at(0);
    expected.insert(expected.end(), rest.ids.begin(), rest.ids.end());
    EXPECT_EQ(given.ids, expected) << tokens;
    EXPECT_EQ(Ids(given.ids.begin() + tokens + 1, given.ids.end()), rest.ids);
    EXPECT_TRUE(std::equal(rest.logprobs.begin(), rest.logprobs.end(),
                           given.logprobs.begin() + tokens + 1));
    EXPECT_LT(given.logprobs.at(static_cast<std::size_t>(tokens)), 0);
  }
}

TEST(ThinkingBudget, ChangesNothingWhereThoughtsEndInTime) {
  const EngineOptions options = test::tiny_options(1, 0);
  const Given free = serve(options, {request(kPrompt, 12)}).given.at(0);
  GenerationRequest bounded = request(kPrompt, 12);
  bounded.thinking = {.begin_id = -1, .end_id = free.ids.at(2), .tokens_max = 5};
  EXPECT_EQ(serve(options, {bounded}).given.at(0), free);
  bounded.thinking = {.begin_id = -1, .end_id = unused_id(free.ids), .tokens_max = 12};
  EXPECT_EQ(serve(options, {bounded}).given.at(0), free);
  bounded.thinking = {
      .begin_id = unused_id(free.ids), .end_id = unused_id(free.ids), .tokens_max = 0};
  EXPECT_EQ(serve(options, {bounded}).given.at(0), free);
}

/// Requests of all lengths, drawn and greedy, with and without a budget.
std::vector<GenerationRequest> mixed_requests() {
  std::vector<GenerationRequest> out;
  for (std::size_t i = 0; i < 16; ++i) {
    Ids prompt;
    for (std::size_t k = 0; k <= 3 * i; ++k)
      prompt.push_back(static_cast<std::int32_t>((7 * i + 13 * k) % 250));
    GenerationRequest one = request(prompt, 24);
    one.sampling.temperature = i % 3 == 0 ? 0.9 : 0.0;
    one.sampling.seed = i;
    if (i % 4 != 3)
      one.thinking = {.begin_id = -1, .end_id = 251, .tokens_max = static_cast<std::int64_t>(i)};
    out.push_back(std::move(one));
  }
  return out;
}

TEST(ThinkingBudget, IsKeptInAnyBatchAndAfterRecomputation) {
  const std::vector<GenerationRequest> requests = mixed_requests();
  const std::vector<Given> alone = serve(test::tiny_options(1, 0), requests).given;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (!requests[i].thinking) continue;
    EXPECT_EQ(alone[i].ids.at(static_cast<std::size_t>(requests[i].thinking->tokens_max)), 251)
        << i;
  }
  EXPECT_EQ(serve(test::tiny_options(16, 7), requests).given, alone);
  EngineOptions tight = test::tiny_options(16, 0);
  tight.max_model_len = 128;
  tight.kv_block_count = 14;
  const Served recomputed = serve(tight, requests);
  EXPECT_GT(recomputed.preemptions, 0);
  EXPECT_EQ(recomputed.given, alone);
}

TEST(ThinkingBudget, MayEndTheRequestByItsToken) {
  GenerationRequest bounded = request(kPrompt, 12);
  bounded.thinking = {.begin_id = -1, .end_id = 251, .tokens_max = 3};
  bounded.stop_ids = {251};
  EXPECT_EQ(serve(test::tiny_options(1, 0), {bounded}).given.at(0).ids.size(), 4u);
}

TEST(ThinkingBudget, IsRefusedWithATokenThatIsNone) {
  const auto runner = [] { return make_cpu_runner(test::tiny_hybrid(), test::tiny_options(1, 0)); };
  Engine engine(runner(), 0);
  GenerationRequest bounded = request(kPrompt, 12);
  bounded.thinking = {.begin_id = -1,
                      .end_id = static_cast<std::int32_t>(engine.limits().vocab_size),
                      .tokens_max = 3};
  EXPECT_THROW(static_cast<void>(engine.submit(bounded)), Error);
}

}  // namespace
}  // namespace nvllm::engine
