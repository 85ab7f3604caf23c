#include "engine/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace nvllm::engine {
namespace {

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

ScoredToken sample(const SamplingParams& params, std::vector<std::int32_t> output = {},
                   std::vector<std::int32_t> banned = {}, std::uint64_t seed = 1) {
  Sampler sampler(5);
  const std::vector<std::int32_t> prompt = {0};
  return sampler.sample(kLogits, {.logit_index = 0, .params = &params, .seed = seed, .prompt = prompt,
                                  .output = output, .banned = banned});
}

SamplingParams greedy() {
  SamplingParams params;
  params.temperature = 0;
  return params;
}

TEST(Sampler, GreedyBreaksTiesTowardsTheLowestId) { EXPECT_EQ(sample(greedy()).id, 1); }

TEST(Sampler, GreedyHonoursBannedIdsBiasAndPenalties) {
  EXPECT_EQ(sample(greedy(), {}, {1}).id, 3);
  SamplingParams biased = greedy();
  biased.logit_bias = {{4, 100.0f}};
  EXPECT_EQ(sample(biased).id, 4);
  SamplingParams presence = greedy();
  presence.presence_penalty = 1.5;
  EXPECT_EQ(sample(presence, {1, 3}).id, 2);
  SamplingParams frequency = greedy();
  frequency.frequency_penalty = 0.6;
  EXPECT_EQ(sample(frequency, {1, 1, 3}).id, 3);  // 3 - 1.2 against 3 - 0.6
  SamplingParams repetition = greedy();
  repetition.repetition_penalty = 2.0;
  EXPECT_EQ(sample(repetition, {1, 3}).id, 2);  // 3 / 2 twice
}

TEST(Sampler, RepetitionPenaltyCountsThePromptAndOtherPenaltiesDoNot) {
  SamplingParams params = greedy();
  params.logit_bias = {{0, 2.5f}};  // id 0, the prompt's, now leads with 3.5
  EXPECT_EQ(sample(params).id, 0);
  params.presence_penalty = 2.0;
  EXPECT_EQ(sample(params).id, 0);
  params.repetition_penalty = 2.0;
  EXPECT_EQ(sample(params).id, 1);
}

TEST(Sampler, ForgetsCountsBetweenDraws) {
  Sampler sampler(5);
  SamplingParams params = greedy();
  params.presence_penalty = 2.0;
  const std::vector<std::int32_t> prompt = {0}, output = {1, 3};
  const SampleTask with{.logit_index = 0, .params = &params, .seed = 1, .prompt = prompt, .output = output, .banned = {}};
  const SampleTask without{.logit_index = 0, .params = &params, .seed = 1, .prompt = prompt, .output = {}, .banned = {}};
  EXPECT_EQ(sampler.sample(kLogits, with).id, 2);
  EXPECT_EQ(sampler.sample(kLogits, without).id, 1);
}

TEST(Sampler, DrawsInProportionAndReproducibly) {
  SamplingParams params;
  std::map<std::int32_t, int> counts;
  for (std::uint64_t seed = 0; seed < 20000; ++seed) {
    const std::int32_t id = sample(params, {}, {}, seed).id;
    EXPECT_EQ(id, sample(params, {}, {}, seed).id);
    ++counts[id];
  }
  double total = 0;
  for (const float logit : kLogits) total += std::exp(logit);
  for (std::size_t id = 0; id < 5; ++id) {
    const double expected = std::exp(kLogits[id]) / total;
    // Five standard deviations of a binomial share.
    EXPECT_NEAR(counts[static_cast<std::int32_t>(id)] / 20000.0, expected, 5 * std::sqrt(expected / 20000) + 1e-4) << id;
  }
}

TEST(Sampler, TopKTopPAndMinPCutTheTail) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    SamplingParams top_k;
    top_k.top_k = 2;
    const std::int32_t k = sample(top_k, {}, {}, seed).id;
    EXPECT_TRUE(k == 1 || k == 3) << k;
    SamplingParams top_p;
    top_p.top_p = 0.5;  // the two 3.0s hold 0.39 each
    const std::int32_t p = sample(top_p, {}, {}, seed).id;
    EXPECT_TRUE(p == 1 || p == 3) << p;
    SamplingParams tiny;
    tiny.top_p = 1e-9;
    EXPECT_EQ(sample(tiny, {}, {}, seed).id, 1);
    SamplingParams min_p;
    min_p.min_p = 0.3;  // exp(-1) = 0.37 stays, exp(-2) goes
    const std::int32_t m = sample(min_p, {}, {}, seed).id;
    EXPECT_TRUE(m == 1 || m == 2 || m == 3) << m;
  }
}

TEST(Sampler, ReportsRawLogProbabilitiesMostLikelyFirst) {
  SamplingParams params = greedy();
  params.top_logprobs = 2;
  params.logit_bias = {{4, 100.0f}};  // changes the draw, not the report
  const ScoredToken token = sample(params);
  double total = 0;
  for (const float logit : kLogits) total += std::exp(logit);
  ASSERT_TRUE(token.logprob);
  EXPECT_NEAR(*token.logprob, -1.0 - std::log(total), 1e-5);
  ASSERT_EQ(token.top.size(), 2u);
  EXPECT_EQ(token.top[0].id, 1);
  EXPECT_EQ(token.top[1].id, 3);
}

TEST(Sampler, ReportsLogitsThatAreNotFinite) {
  Sampler sampler(3);
  const SamplingParams params = greedy();
  const std::vector<std::int32_t> prompt = {0};
  const SampleTask task{.logit_index = 0, .params = &params, .seed = 1, .prompt = prompt, .output = {}, .banned = {}};
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sampler.sample(std::vector<float>{0, std::nanf(""), 1}, task).id, -1);
  EXPECT_EQ(sampler.sample(std::vector<float>{0, inf, 1}, task).id, -1);
  EXPECT_EQ(sampler.sample(std::vector<float>{-inf, -inf, -inf}, task).id, -1);
  EXPECT_EQ(sampler.sample(std::vector<float>{-inf, 0, -inf}, task).id, 1);
}

}  // namespace
}  // namespace nvllm::engine
