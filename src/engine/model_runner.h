#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/runner.h"
#include "engine/sampling.h"
#include "engine/slot_tenancies.h"
#include "model/hybrid_model.h"

namespace nvllm::engine {

/// Runs steps of a hybrid model on a backend whose memory the host can read, and samples there.
template <Ops B>
class ModelRunner final : public Runner {
 public:
  ModelRunner(std::unique_ptr<B> ops, const checkpoint::Checkpoint& files, FusionPlan plan, EngineLimits limits,
              model::PrepareProgress progress = {})
      : limits_(std::move(limits)), ops_(std::move(ops)),
        model_(*ops_, files, std::move(plan),
               {.tokens_per_step = limits_.max_num_batched_tokens, .logit_rows = limits_.logit_rows,
                .kv_blocks = limits_.kv_block_count, .kv_block_tokens = limits_.kv_block_tokens,
                .state_slots = limits_.state_slot_count},
               std::move(progress)),
        sampler_(limits_.vocab_size),
        tenancies_(limits_.state_slot_count) {}

  const EngineLimits& limits() const override { return limits_; }

  StepResult run(const StepPlan& plan) override {
    tenancies_.check(plan);
    copy_states(plan, model_);
    const View<const float> logits =
        model_.forward({.ids = plan.ids, .segments = plan.segments, .logit_rows = plan.logit_rows});
    if (listener_) listener_(plan, logits);
    const LaunchScope scope(launches_, {.operation = "sample", .kind = WorkKind::kHost});
    const auto row = [&](std::int64_t index) {
      return std::span<const float>(logits.row(index), static_cast<std::size_t>(logits.cols));
    };
    StepResult result;
    for (const ScoreTask& task : plan.scores) result.scores.push_back(sampler_.score(row(task.logit_index), task));
    for (const SampleTask& task : plan.samples) result.samples.push_back(sampler_.sample(row(task.logit_index), task));
    return result;
  }

  void set_launch_listener(LaunchListener* listener) override {
    launches_ = listener;
    if constexpr (requires { ops_->set_listener(listener); }) ops_->set_listener(listener);
  }

  void set_logit_listener(LogitListener listener) override { listener_ = std::move(listener); }
  model::HybridModel<B>& model() { return model_; }
  B& ops() { return *ops_; }

 private:
  EngineLimits limits_;
  std::unique_ptr<B> ops_;
  model::HybridModel<B> model_;
  Sampler sampler_;
  LogitListener listener_;
  LaunchListener* launches_ = nullptr;
  SlotTenancies tenancies_;
};

}  // namespace nvllm::engine
