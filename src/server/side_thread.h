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
  SideThread() = default;
  ~SideThread() { finish(); }
  SideThread(const SideThread&) = delete;
  SideThread& operator=(const SideThread&) = delete;

  /// The task must not throw. After finish() it is dropped at once.
  void post(std::function<void()> task);
  /// Drops the tasks that have not begun and waits for the one that has: afterwards no task holds anything.
  /// To be called while what tasks hold (connections, say) still has its server.
  void finish();

 private:
  void work(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any ready_;
  std::deque<std::function<void()>> tasks_;
  bool over_ = false;
  std::jthread thread_;
};

}  // namespace nvllm::server
