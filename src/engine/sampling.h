#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/step_plan.h"

namespace nvllm::engine {

/// Draws tokens from rows of logits. Keeps its working memory between calls, so that a step does not
/// allocate. The draw depends on (logits, parameters, seed, number of tokens generated) alone.
///   Order: logit_bias, banned ids, penalties; greedy takes the largest (ties: lowest id); otherwise
///   temperature, min_p, top_k, top_p, one uniform number. The order is vLLM's.
class Sampler {
 public:
  explicit Sampler(std::int64_t vocab_size);
  /// Bytes of working memory, for planning.
  static std::int64_t workspace_bytes(std::int64_t vocab_size);

  /// `logits` [vocab]. A forced token is reported as if it had been drawn. Returns id -1 if any logit is NaN or all are minus infinity.
  ScoredToken sample(std::span<const float> logits, const SampleTask& task);
  /// The log-probability of a known token and of the most likely ones.
  ScoredToken score(std::span<const float> logits, const ScoreTask& task);

 private:
  struct Candidate {
    float logit;
    std::int32_t id;
  };
  void adjust(std::span<const float> logits, const SampleTask& task);
  void penalise(const SampleTask& task);
  std::int32_t greedy() const;
  std::int32_t draw(const SampleTask& task);
  /// Keeps the most likely candidates whose weights reach `wanted`; returns what they reach.
  double keep_top_mass(double wanted);
  ScoredToken scored(std::span<const float> logits, std::int32_t id, std::int64_t top_count);

  std::vector<float> adjusted_;
  std::vector<std::int32_t> counts_;  ///< occurrences in the output; cleared after use
  std::vector<bool> seen_;            ///< occurrences in prompt or output; cleared after use
  std::vector<Candidate> candidates_;
};

}  // namespace nvllm::engine
