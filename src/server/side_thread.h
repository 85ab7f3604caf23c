#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace nvllm::server {

/// Runs tasks one after another away from the connections, for the rare call that waits or writes
/// files. The thread starts with the first task.
class SideThread {
 public:
  /// The task must not throw. Tasks that have not begun when this is destroyed are dropped.
  void post(std::function<void()> task);

 private:
  void work(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any ready_;
  std::deque<std::function<void()>> tasks_;
  std::jthread thread_;  // last: joined before what it uses goes
};

}  // namespace nvllm::server
