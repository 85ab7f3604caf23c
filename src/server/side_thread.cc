#include "server/side_thread.h"

#include <utility>

namespace nvllm::server {

void SideThread::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  tasks_.push_back(std::move(task));
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
  ready_.notify_one();
}

void SideThread::finish() {
  std::deque<std::function<void()>> dropped;  // destroyed without the lock: a task may own what posts another
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    dropped.swap(tasks_);
    thread_.request_stop();
  }
  dropped.clear();
  if (thread_.joinable()) thread_.join();
}

void SideThread::work(const std::stop_token& stop) {
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      if (!ready_.wait(lock, stop, [this] { return !tasks_.empty(); })) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace nvllm::server
