#include "engine/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/hashing.h"
#include "base/units.h"

namespace nvllm::engine {

namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// Largest first; equal logits in order of id.
bool likelier(float logit_a, std::int32_t a, float logit_b, std::int32_t b) {
  return logit_a != logit_b ? logit_a > logit_b : a < b;
}

double log_sum_exp(std::span<const float> logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum);
}

}  // namespace

Sampler::Sampler(std::int64_t vocab_size)
    : adjusted_(static_cast<std::size_t>(vocab_size)), counts_(static_cast<std::size_t>(vocab_size), 0),
      seen_(static_cast<std::size_t>(vocab_size), false) {
  candidates_.reserve(static_cast<std::size_t>(vocab_size));
}

std::int64_t Sampler::workspace_bytes(std::int64_t vocab_size) {
  constexpr auto kEach = static_cast<std::int64_t>(sizeof(float) + sizeof(std::int32_t) + sizeof(Candidate));
  return vocab_size * kEach + ceil_div(vocab_size, 8);
}

void Sampler::penalise(const SampleTask& task) {
  const SamplingParams& p = *task.params;
  for (const std::int32_t id : task.prompt) seen_[static_cast<std::size_t>(id)] = true;
  for (const std::int32_t id : task.output) {
    seen_[static_cast<std::size_t>(id)] = true;
    ++counts_[static_cast<std::size_t>(id)];
  }
  const auto apply = [&](std::int32_t token) {
    const auto id = static_cast<std::size_t>(token);
    if (!seen_[id]) return;  // already done, or never seen
    float& logit = adjusted_[id];
    const auto repetition = static_cast<float>(p.repetition_penalty);
    logit = logit > 0 ? logit / repetition : logit * repetition;
    if (counts_[id] > 0) {
      logit -= static_cast<float>(p.frequency_penalty) * static_cast<float>(counts_[id]) +
               static_cast<float>(p.presence_penalty);
    }
    seen_[id] = false;
    counts_[id] = 0;
  };
  for (const std::int32_t id : task.prompt) apply(id);
  for (const std::int32_t id : task.output) apply(id);
}

void Sampler::adjust(std::span<const float> logits, const SampleTask& task) {
  NVLLM_CHECK_EQ(logits.size(), adjusted_.size());
  std::copy(logits.begin(), logits.end(), adjusted_.begin());
  const SamplingParams& p = *task.params;
  for (const auto& [id, bias] : p.logit_bias) adjusted_[static_cast<std::size_t>(id)] += bias;
  for (const std::int32_t id : task.banned) adjusted_[static_cast<std::size_t>(id)] = kMinusInfinity;
  if (p.repetition_penalty != 1.0 || p.frequency_penalty != 0.0 || p.presence_penalty != 0.0) penalise(task);
}

std::int32_t Sampler::greedy() const {
  return static_cast<std::int32_t>(std::max_element(adjusted_.begin(), adjusted_.end()) - adjusted_.begin());
}

std::int32_t Sampler::draw(const SampleTask& task) {
  const SamplingParams& p = *task.params;
  const float largest = *std::max_element(adjusted_.begin(), adjusted_.end());
  const auto scale = static_cast<float>(1.0 / p.temperature);
  const float floor = p.min_p > 0 ? static_cast<float>(std::log(p.min_p)) : kMinusInfinity;
  candidates_.clear();
  for (std::size_t id = 0; id < adjusted_.size(); ++id) {
    const float logit = (adjusted_[id] - largest) * scale;  // the largest is 0
    if (logit >= floor && logit > kMinusInfinity) candidates_.push_back({logit, static_cast<std::int32_t>(id)});
  }
  const auto order = [](const Candidate& a, const Candidate& b) { return likelier(a.logit, a.id, b.logit, b.id); };
  if (p.top_k > 0 && p.top_k < static_cast<std::int64_t>(candidates_.size())) {
    std::nth_element(candidates_.begin(), candidates_.begin() + p.top_k, candidates_.end(), order);
    candidates_.resize(static_cast<std::size_t>(p.top_k));
  }
  double total = 0;
  for (const Candidate& c : candidates_) total += std::exp(static_cast<double>(c.logit));
  if (p.top_p < 1.0) total = keep_top_mass(p.top_p * total);
  double target = random_uniform(task.seed, task.output.size()) * total;
  for (const Candidate& c : candidates_) {
    target -= std::exp(static_cast<double>(c.logit));
    if (target < 0) return c.id;
  }
  return candidates_.back().id;  // rounding left a crumb
}

double Sampler::keep_top_mass(double wanted) {
  // A heap sorts only as many candidates as the mass needs: few, where the distribution is peaked.
  const auto later = [](const Candidate& a, const Candidate& b) { return likelier(b.logit, b.id, a.logit, a.id); };
  std::make_heap(candidates_.begin(), candidates_.end(), later);
  auto kept = candidates_.end();
  double mass = 0;
  do {  // at least the most likely one, also for top_p 0
    std::pop_heap(candidates_.begin(), kept, later);
    --kept;
    mass += std::exp(static_cast<double>(kept->logit));
  } while (kept != candidates_.begin() && mass < wanted);
  candidates_.erase(candidates_.begin(), kept);
  return mass;
}

ScoredToken Sampler::scored(std::span<const float> logits, std::int32_t id, std::int64_t top_count) {
  ScoredToken out{.id = id, .logprob = std::nullopt, .top = {}};
  if (top_count < 0) return out;
  const double sum = log_sum_exp(logits);
  const auto logprob = [&](std::int32_t token) {
    return static_cast<float>(static_cast<double>(logits[static_cast<std::size_t>(token)]) - sum);
  };
  out.logprob = logprob(id);
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) candidates_.push_back({logits[i], static_cast<std::int32_t>(i)});
  const auto count = std::min<std::ptrdiff_t>(top_count, static_cast<std::ptrdiff_t>(candidates_.size()));
  std::partial_sort(candidates_.begin(), candidates_.begin() + count, candidates_.end(),
                    [](const Candidate& a, const Candidate& b) { return likelier(a.logit, a.id, b.logit, b.id); });
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const std::int32_t token = candidates_[static_cast<std::size_t>(i)].id;
    out.top.push_back({token, logprob(token)});
  }
  return out;
}

ScoredToken Sampler::sample(std::span<const float> logits, const SampleTask& task) {
  adjust(logits, task);
  bool possible = false;
  for (const float logit : adjusted_) {
    if (std::isnan(logit) || logit == std::numeric_limits<float>::infinity()) return {.id = -1, .logprob = {}, .top = {}};
    possible = possible || logit > kMinusInfinity;
  }
  if (!possible) return {.id = -1, .logprob = {}, .top = {}};
  std::int32_t id = task.forced;
  if (id < 0) id = task.params->temperature == 0.0 ? greedy() : draw(task);
  return scored(logits, id, task.params->top_logprobs);
}

ScoredToken Sampler::score(std::span<const float> logits, const ScoreTask& task) {
  return scored(logits, task.target, task.top_count);
}

}  // namespace nvllm::engine
