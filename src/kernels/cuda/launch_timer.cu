#include "kernels/cuda/launch_timer.h"

#include <cuda_runtime.h>

#include <chrono>

#include "kernels/cuda/check.cuh"

namespace nvllm::cuda {

LaunchTimer::~LaunchTimer() {
  for (cudaEvent_t event : events_) cudaEventDestroy(event);
}

void LaunchTimer::stamp(cudaStream_t stream) {
  if (used_ == events_.size()) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreate(&event), "creating an event");
    events_.push_back(event);
  }
  check(cudaEventRecord(events_[used_++], stream), "recording an event");
}

void LaunchTimer::mark(const LaunchNote& note, cudaStream_t stream) {
  stamp(stream);
  notes_.push_back(note);
  notes_.back().begin = SystemClock().now();
}

void LaunchTimer::report(LaunchListener& listener, cudaStream_t stream) {
  stamp(stream);
  check(cudaStreamSynchronize(stream), "waiting for the device");
  for (std::size_t i = 0; i < notes_.size(); ++i) {
    float since_first = 0, milliseconds = 0;
    check(cudaEventElapsedTime(&since_first, events_[0], events_[i]), "reading the device's clock");
    check(cudaEventElapsedTime(&milliseconds, events_[i], events_[i + 1]), "reading the device's clock");
    LaunchNote note = notes_[i];
    note.begin = notes_[0].begin + std::chrono::duration_cast<SteadyTime::duration>(std::chrono::duration<double, std::milli>(since_first));
    note.seconds = milliseconds / 1e3;
    listener.on_launch(note);
  }
  notes_.clear();
  used_ = 0;
}

}  // namespace nvllm::cuda
