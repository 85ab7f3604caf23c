// One thread runs steps: take the inbox, plan, run, commit. It reacts to nothing in between, so
// nothing inside needs a lock; the inbox and the published statistics are all that is shared.

#include "engine/engine.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/faults.h"
#include "base/log.h"
#include "engine/runner.h"
#include "engine/scheduler.h"

namespace nvllm::engine {

namespace {

std::uint64_t fresh_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

}  // namespace

class Engine::Impl {
 public:
  Impl(std::unique_ptr<Runner> runner, std::int64_t inbox_limit)
      : runner_(std::move(runner)), limits_(runner_->limits()), scheduler_(limits_) {
    limits_.inbox_limit = inbox_limit > 0 ? inbox_limit : 4 * limits_.max_num_seqs;
    scheduler_.report(stats_);
    thread_ = std::thread([this] { loop(); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  const EngineLimits& limits() const { return limits_; }

  std::vector<Submission> submit_all(std::vector<GenerationRequest> requests, const TokenStream::Notify& notify) {
    std::vector<std::unique_ptr<Sequence>> sequences;
    for (GenerationRequest& request : requests) sequences.push_back(accept(std::move(request), notify));
    std::vector<Submission> out(sequences.size());
    {
      const std::lock_guard lock(mutex_);
      const SubmitOutcome outcome = may_enter(static_cast<std::int64_t>(sequences.size()));
      for (std::size_t i = 0; i < sequences.size(); ++i) {
        out[i].outcome = outcome;
        if (outcome != SubmitOutcome::kAccepted) continue;
        out[i].stream = sequences[i]->stream;
        inbox_.push_back(std::move(sequences[i]));
      }
    }
    wake_.notify_all();
    return out;
  }

  void reset_prefix_cache() {
    {
      const std::lock_guard lock(mutex_);
      reset_prefixes_ = true;
    }
    wake_.notify_all();
  }

  void drain() {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }

  bool idle() const {
    const std::lock_guard lock(mutex_);
    return inbox_.empty() && stats_.running == 0 && stats_.waiting == 0;
  }

  EngineStats set_launch_listener(LaunchListener* listener) {
    std::unique_lock lock(mutex_);
    wanted_listener_ = listener;
    const std::int64_t number = ++switches_asked_;
    wake_.notify_all();
    switched_.wait(lock, [&] { return over_ || switches_done_ >= number; });
    return over_ ? stats_ : stats_at_switch_;
  }

  EngineStats stats() const {
    const std::lock_guard lock(mutex_);
    EngineStats out = stats_;
    out.waiting += static_cast<std::int64_t>(inbox_.size());
    if (busy_) out.seconds_since_step = seconds_between(last_step_, SystemClock().now());
    return out;
  }

 private:
  std::unique_ptr<Sequence> accept(GenerationRequest request, const TokenStream::Notify& notify) {
    const auto prompt = static_cast<std::int64_t>(request.prompt.size());
    if (prompt == 0) throw Error(ErrorKind::kUsage, "the prompt is empty; at least one token is needed");
    // Whoever asks has clipped already; this is the last line for those who did not.
    const auto max_tokens = tokens_that_fit(prompt, request.max_tokens, limits_.max_model_len);
    if (!max_tokens) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("the prompt has {} tokens, and the context holds {} with room for at least one more",
                              prompt, limits_.max_model_len));
    }
    for (const std::int32_t id : request.prompt) {
      if (id < 0 || id >= limits_.vocab_size) {
        throw Error(ErrorKind::kUsage, fmt::format("token id {} is outside the vocabulary of {}", id, limits_.vocab_size));
      }
    }
    if (request.thinking && (request.thinking->end_id < 0 || request.thinking->end_id >= limits_.vocab_size)) {
      throw Error(ErrorKind::kUsage, fmt::format("token id {}, which is to end thinking, is outside the vocabulary of {}",
                                                 request.thinking->end_id, limits_.vocab_size));
    }
    auto sequence = std::make_unique<Sequence>();
    sequence->request = std::move(request);
    sequence->request.max_tokens = *max_tokens;
    sequence->seed = sequence->request.sampling.seed.value_or(fresh_seed());
    sequence->stream = std::make_shared<TokenStream>(notify);
    return sequence;
  }

  /// Needs the lock.
  SubmitOutcome may_enter(std::int64_t count) const {
    if (!stats_.alive) return SubmitOutcome::kDead;
    if (draining_ || stop_) return SubmitOutcome::kDraining;
    const std::int64_t queued = static_cast<std::int64_t>(inbox_.size()) + stats_.waiting;
    return queued + count > limits_.inbox_limit + limits_.max_num_seqs - stats_.running
               ? SubmitOutcome::kQueueFull
               : SubmitOutcome::kAccepted;
  }

  void loop() {
    run_steps();
    const std::lock_guard lock(mutex_);
    over_ = true;
    switched_.notify_all();
  }

  void run_steps() {
    while (take_inbox()) {
      try {
        step();
      } catch (const std::exception& error) {
        die(error.what());
        return;
      }
    }
    scheduler_.cancel_all();
    publish();
  }

  /// Waits for work; false when the engine is to stop.
  bool take_inbox() {
    std::unique_lock lock(mutex_);
    if (scheduler_.idle()) {
      busy_ = false;
      while (!stop_ && inbox_.empty()) {
        switch_listener();
        wake_.wait(lock, [this] { return stop_ || !inbox_.empty() || switches_done_ != switches_asked_ || reset_prefixes_; });
        reset_prefixes();
      }
      last_step_ = SystemClock().now();
      busy_ = true;
    }
    switch_listener();
    reset_prefixes();
    for (auto& sequence : inbox_) scheduler_.add(std::move(sequence));
    inbox_.clear();
    scheduler_.report(stats_);
    return !stop_;
  }

  /// Needs the lock, and no step under way.
  void switch_listener() {
    if (switches_done_ == switches_asked_) return;
    listener_ = wanted_listener_;
    runner_->set_launch_listener(listener_);
    stats_at_switch_ = stats_;
    switches_done_ = switches_asked_;
    switched_.notify_all();
  }

  /// Needs the lock, and no step under way.
  void reset_prefixes() {
    if (!std::exchange(reset_prefixes_, false)) return;
    scheduler_.reset_prefix_cache();
    const bool alive = stats_.alive;
    scheduler_.report(stats_);
    stats_.alive = alive;
  }

  void step() {
    const SteadyTime begin = stamp();
    scheduler_.drop_cancelled();
    const StepPlan plan = scheduler_.plan();
    if (!plan.empty()) {
      if (listener_ != nullptr) {
        listener_->on_step_begin(step_note(plan, begin));
        note_host_work(*listener_, "schedule", begin, stamp());
      }
      hang_engine(steps_++);
      StepResult result = runner_->run(plan);
      const SteadyTime computed = stamp();
      scheduler_.commit(std::move(result));
      if (listener_ != nullptr) {
        const SteadyTime end = stamp();
        note_host_work(*listener_, "stream", computed, end);
        listener_->on_step_end(end);
      }
    }
    publish();
  }

  /// The time, if anyone wants to know it.
  SteadyTime stamp() const { return listener_ == nullptr ? SteadyTime{} : SystemClock().now(); }

  void publish() {
    const std::lock_guard lock(mutex_);
    const bool alive = stats_.alive;
    scheduler_.report(stats_);
    stats_.alive = alive;
    last_step_ = SystemClock().now();
  }

  void die(const std::string& why) {
    log(LogLevel::kError, "engine", fmt::format("a step failed, the engine stops: {}", why));
    std::vector<std::unique_ptr<Sequence>> late;
    {
      const std::lock_guard lock(mutex_);
      stats_.alive = false;
      late.swap(inbox_);
    }
    for (auto& sequence : late) scheduler_.add(std::move(sequence));
    scheduler_.fail_all(fmt::format("the engine stopped: {}", why));
    publish();
  }

  std::unique_ptr<Runner> runner_;
  EngineLimits limits_;
  Scheduler scheduler_;  ///< engine thread only, after construction

  LaunchListener* listener_ = nullptr;  ///< engine thread only
  std::int64_t steps_ = 0;              ///< engine thread only

  mutable std::mutex mutex_;
  std::condition_variable wake_, switched_;
  LaunchListener* wanted_listener_ = nullptr;
  std::int64_t switches_asked_ = 0, switches_done_ = 0;
  bool over_ = false;  ///< the engine thread calls nobody any more
  std::vector<std::unique_ptr<Sequence>> inbox_;
  EngineStats stats_, stats_at_switch_;
  SteadyTime last_step_{};
  bool reset_prefixes_ = false;
  bool busy_ = false, draining_ = false, stop_ = false;
  std::thread thread_;
};

Engine::Engine(std::unique_ptr<Runner> runner, std::int64_t inbox_limit)
    : impl_(std::make_unique<Impl>(std::move(runner), inbox_limit)) {}
Engine::~Engine() = default;

const EngineLimits& Engine::limits() const { return impl_->limits(); }

Submission Engine::submit(GenerationRequest request, TokenStream::Notify notify) {
  std::vector<GenerationRequest> one;
  one.push_back(std::move(request));
  return std::move(impl_->submit_all(std::move(one), notify).front());
}

std::vector<Submission> Engine::submit_all(std::vector<GenerationRequest> requests, const TokenStream::Notify& notify) {
  return impl_->submit_all(std::move(requests), notify);
}

void Engine::reset_prefix_cache() { impl_->reset_prefix_cache(); }
void Engine::drain() { impl_->drain(); }
bool Engine::idle() const { return impl_->idle(); }
EngineStats Engine::stats() const { return impl_->stats(); }
EngineStats Engine::set_launch_listener(LaunchListener* listener) { return impl_->set_launch_listener(listener); }

}  // namespace nvllm::engine
