#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "server/generator.h"
#include "support/byte_tokenizer.h"

namespace nvllm::testing {

using engine::FinishReason;
using engine::GenerationRequest;
using engine::StreamEvent;
using engine::TokenStream;

/// An event of plain tokens, as an engine without log-probabilities sends it.
inline StreamEvent tokens_event(const std::vector<std::int32_t>& ids,
                                FinishReason finish = FinishReason::kNone) {
  StreamEvent event;
  for (const std::int32_t id : ids) event.tokens.push_back({.id = id, .logprob = {}, .top = {}});
  event.finish = finish;
  if (finish == FinishReason::kStop) event.stop_id = ids.back();
  return event;
}

/// Records what it is asked and plays a script: the events for a request, pushed at submission. An
/// empty script leaves the streams to the test.
class FakeGenerator final : public server::Generator {
 public:
  using Script = std::function<std::vector<StreamEvent>(const GenerationRequest&)>;

  FakeGenerator() {
    limits_.max_num_seqs = 4;
    limits_.max_model_len = 512;
    limits_.inbox_limit = 64;
    limits_.vocab_size = kByteVocabSize;
    limits_.eos_ids = {kEndId};
    stats_.kv_blocks_total = 100;
    stats_.state_slots_total = 8;
  }

  std::vector<engine::Submission> submit_all(std::vector<GenerationRequest> requests,
                                             const TokenStream::Notify& notify) override {
    std::vector<engine::Submission> out(requests.size());
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      out[i].outcome = outcome_;
      if (outcome_ != engine::SubmitOutcome::kAccepted) continue;
      out[i].stream = std::make_shared<TokenStream>(notify);
      streams_.push_back(out[i].stream);
      if (script_) {
        for (StreamEvent& event : script_(requests[i])) out[i].stream->push(std::move(event));
      }
      requests_.push_back(std::move(requests[i]));
    }
    return out;
  }
  const engine::EngineLimits& limits() const override { return limits_; }
  engine::EngineStats stats() const override {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_prefix_cache() override {
    const std::lock_guard lock(mutex_);
    ++prefix_resets_;
  }
  std::int64_t prefix_resets() const {
    const std::lock_guard lock(mutex_);
    return prefix_resets_;
  }
  void drain() override { set_outcome(engine::SubmitOutcome::kDraining); }
  bool idle() const override { return true; }

  void set_script(Script script) {
    const std::lock_guard lock(mutex_);
    script_ = std::move(script);
  }
  void set_outcome(engine::SubmitOutcome outcome) {
    const std::lock_guard lock(mutex_);
    outcome_ = outcome;
  }
  void set_stats(const engine::EngineStats& stats) {
    const std::lock_guard lock(mutex_);
    stats_ = stats;
  }
  std::vector<GenerationRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::vector<std::shared_ptr<TokenStream>> streams() const {
    const std::lock_guard lock(mutex_);
    return streams_;
  }
  /// Before the first request only.
  engine::EngineLimits& limits_for_setup() { return limits_; }

 private:
  mutable std::mutex mutex_;
  engine::EngineLimits limits_;
  engine::EngineStats stats_;
  engine::SubmitOutcome outcome_ = engine::SubmitOutcome::kAccepted;
  Script script_;
  std::int64_t prefix_resets_ = 0;
  std::vector<GenerationRequest> requests_;
  std::vector<std::shared_ptr<TokenStream>> streams_;
};

/// Says a text, one token a byte, then ends: by the end token if it fits max_tokens, else by
/// length.
inline FakeGenerator::Script says(std::string text) {
  return [text = std::move(text)](const GenerationRequest& request) {
    std::vector<StreamEvent> events;
    const auto limit = static_cast<std::size_t>(request.max_tokens);
    const auto scored = [&](std::int32_t id) {
      engine::ScoredToken token{.id = id, .logprob = {}, .top = {}};
      if (request.sampling.top_logprobs >= 0) token.logprob = -0.5f;
      for (std::int64_t i = 0; i < request.sampling.top_logprobs; ++i) {
        token.top.push_back({static_cast<std::int32_t>('A' + i), -1.0f - static_cast<float>(i)});
      }
      return token;
    };
    if (request.sampling.prompt_logprobs >= 0) {
      StreamEvent event;
      for (const std::int32_t id : request.prompt) {
        event.prompt.push_back(scored(id));
        if (event.prompt.size() == 1) event.prompt.front() = {.id = id, .logprob = {}, .top = {}};
      }
      events.push_back(std::move(event));
    }
    for (std::size_t i = 0; i < std::min(text.size(), limit); ++i) {
      StreamEvent event;
      event.tokens.push_back(scored(static_cast<unsigned char>(text[i])));
      events.push_back(std::move(event));
    }
    StreamEvent end;
    if (text.size() < limit) {
      end.tokens.push_back(scored(kEndId));
      end.finish = FinishReason::kStop;
      end.stop_id = kEndId;
    } else {
      end.finish = FinishReason::kLength;
    }
    events.push_back(std::move(end));
    return events;
  };
}

}  // namespace nvllm::testing
