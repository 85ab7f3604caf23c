#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace nvllm::cpu {

class WorkerPool;

/// One worker's view of a parallel region: which of how many it is, and a barrier among them.
class Share {
 public:
  Share(WorkerPool& pool, std::int64_t worker, std::int64_t workers)
      : pool_(pool), worker_(worker), workers_(workers) {}

  std::int64_t worker() const { return worker_; }
  /// Waits until every worker of the region has come here; what they wrote before is then visible.
  void barrier();

  struct Range {
    std::int64_t begin, end;
  };
  /// This worker's contiguous part of `count` equal pieces of work.
  Range part(std::int64_t count) const {
    return {count * worker_ / workers_, count * (worker_ + 1) / workers_};
  }

 private:
  WorkerPool& pool_;
  std::int64_t worker_;
  std::int64_t workers_;
};

/// A fixed set of threads that run one region after another. The caller is worker 0. Workers spin
/// briefly between regions, because the next one is usually microseconds away, then sleep.
class WorkerPool {
 public:
  /// `workers` >= 1, the caller included.
  explicit WorkerPool(std::int64_t workers);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  std::int64_t workers() const { return workers_; }

  /// Runs body(Share&) on every worker and returns when all are done. The body must not throw.
  template <class Body>
  void run(Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_erased([](void* data, Share& share) { (*static_cast<Plain*>(data))(share); }, &body);
  }

 private:
  friend class Share;
  using Erased = void (*)(void* data, Share& share);
  void run_erased(Erased body, void* data);
  void work(std::int64_t worker);
  void barrier();

  std::int64_t workers_;
  Erased body_ = nullptr;
  void* data_ = nullptr;
  alignas(64) std::atomic<std::uint32_t> epoch_{0};  // counts regions; 32 bits: what a futex waits on
  alignas(64) std::atomic<std::int64_t> arrived_{0};  // workers inside the current barrier
  alignas(64) std::atomic<std::uint32_t> barrier_epoch_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::jthread> threads_;
};

inline void Share::barrier() { pool_.barrier(); }

}  // namespace nvllm::cpu
