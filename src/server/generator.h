#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace nvllm::server {

/// What the server needs of an engine. A seam, so that tests can script tokens, failures and full
/// queues.
class Generator {
 public:
  virtual ~Generator() = default;
  /// All requests are accepted together or none is; streams are in the order of `requests`.
  ///   Errors: Error(kUsage) for a prompt the engine cannot take.
  [[nodiscard]] virtual std::vector<engine::Submission> submit_all(
      std::vector<engine::GenerationRequest> requests,
      const engine::TokenStream::Notify& notify) = 0;
  virtual const engine::EngineLimits& limits() const = 0;
  virtual engine::EngineStats stats() const = 0;
  virtual void reset_prefix_cache() = 0;
  virtual void drain() = 0;
  virtual bool idle() const = 0;
};

/// The real engine behind the seam.
class EngineGenerator final : public Generator {
 public:
  explicit EngineGenerator(std::unique_ptr<engine::Engine> engine) : engine_(std::move(engine)) {}

  std::vector<engine::Submission> submit_all(std::vector<engine::GenerationRequest> requests,
                                             const engine::TokenStream::Notify& notify) override {
    return engine_->submit_all(std::move(requests), notify);
  }
  const engine::EngineLimits& limits() const override { return engine_->limits(); }
  engine::EngineStats stats() const override { return engine_->stats(); }
  void reset_prefix_cache() override { engine_->reset_prefix_cache(); }
  void drain() override { engine_->drain(); }
  bool idle() const override { return engine_->idle(); }

 private:
  std::unique_ptr<engine::Engine> engine_;
};

}  // namespace nvllm::server
