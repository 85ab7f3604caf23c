#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "engine/request.h"

namespace nvllm::engine {

/// Carries tokens from the engine thread to whoever asked. The only object two threads share.
class TokenStream {
 public:
  /// Called from the engine thread after news was added; must be quick and must not call back into
  /// the stream. Typically posts to an I/O context.
  using Notify = std::function<void()>;
  explicit TokenStream(Notify notify = {}) : notify_(std::move(notify)) {}

  /// Everything since the last look; an empty event when there is none.
  StreamEvent poll();
  /// As poll, but sleeps until there is something.
  StreamEvent wait();
  /// Asks the engine to end the request; it does so before its next step. Safe from any thread.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  /// For the engine: adds news. After an event with a finish reason nothing more is added.
  void push(StreamEvent event);

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  StreamEvent pending_;
  bool finished_ = false;
  std::atomic<bool> cancelled_{false};
  Notify notify_;
};

}  // namespace nvllm::engine
