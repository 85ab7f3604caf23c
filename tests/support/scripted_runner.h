#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "engine/runner.h"

namespace nvllm::test {

/// Records every plan and answers each sample with what the script says, unless the plan forces a token.
class ScriptedRunner final : public engine::Runner {
 public:
  using Script = std::function<std::int32_t(const engine::SampleTask& task)>;

  explicit ScriptedRunner(engine::EngineLimits limits, Script script = [](const engine::SampleTask& task) {
    return static_cast<std::int32_t>(task.prompt.size() + task.output.size());
  })
      : limits_(std::move(limits)), script_(std::move(script)) {}

  const engine::EngineLimits& limits() const override { return limits_; }
  engine::StepResult run(const engine::StepPlan& plan) override {
    if (before_step) before_step(plan);
    engine::StepResult result;
    for (const auto& task : plan.samples) {
      result.samples.push_back({.id = task.forced >= 0 ? task.forced : script_(task), .logprob = {}, .top = {}});
    }
    for (const auto& task : plan.scores) result.scores.push_back({.id = task.target, .logprob = -1.0f, .top = {}});
    return result;
  }

  std::function<void(const engine::StepPlan&)> before_step;

 private:
  engine::EngineLimits limits_;
  Script script_;
};

/// Small limits: blocks of four tokens.
inline engine::EngineLimits small_limits() {
  engine::EngineLimits limits;
  limits.max_num_seqs = 4;
  limits.max_model_len = 32;
  limits.max_num_batched_tokens = 8;
  limits.kv_block_tokens = 4;
  limits.kv_block_count = 16;
  limits.state_slot_count = 4;
  limits.logit_rows = 9;
  limits.vocab_size = 1000;
  limits.eos_ids = {0};
  return limits;
}

}  // namespace nvllm::test
