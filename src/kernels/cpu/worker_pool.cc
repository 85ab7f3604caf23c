// A region is published by bumping an epoch; the end of a region is a barrier like any other. Both
// waits spin first and then sleep on the atomic: two cores are often shared with I/O threads, and a
// worker that spins while the one it waits for is not running costs a whole time slice.

#include "kernels/cpu/worker_pool.h"

#include "base/check.h"

namespace nvllm::cpu {

namespace {

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/// Returns once `value` differs from `old`.
template <class T>
void wait_for_change(const std::atomic<T>& value, T old) {
  constexpr int kSpins = 400;  // about ten microseconds
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

}  // namespace

WorkerPool::WorkerPool(std::int64_t workers) : workers_(workers) {
  NVLLM_CHECK_GE(workers, 1);
  for (std::int64_t worker = 1; worker < workers; ++worker) {
    threads_.emplace_back([this, worker] { work(worker); });
  }
}

WorkerPool::~WorkerPool() {
  stop_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
}

void WorkerPool::run_erased(Erased body, void* data) {
  body_ = body;
  data_ = data;
  if (workers_ > 1) {
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
  }
  Share share(*this, 0, workers_);
  body(data, share);
  barrier();
}

void WorkerPool::work(std::int64_t worker) {
  for (std::uint32_t seen = 0;; ++seen) {
    wait_for_change(epoch_, seen);
    if (stop_.load(std::memory_order_relaxed)) return;
    Share share(*this, worker, workers_);
    body_(data_, share);
    barrier();
  }
}

void WorkerPool::barrier() {
  if (workers_ == 1) return;
  const std::uint32_t epoch = barrier_epoch_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == workers_) {
    arrived_.store(0, std::memory_order_relaxed);
    barrier_epoch_.store(epoch + 1, std::memory_order_release);
    barrier_epoch_.notify_all();
  } else {
    wait_for_change(barrier_epoch_, epoch);
  }
}

}  // namespace nvllm::cpu
