#pragma once

// When kernels began and ended on the device, by the vendor's profiling library (CUPTI), which is opened at run time.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace nvllm::cuda {

/// One kernel as the device ran it, launched by itself or by a graph.
struct KernelRecord {
  const char* name = nullptr;  ///< mangled; lives as long as the process
  std::uint64_t begin_ns = 0, end_ns = 0;  ///< of the library's clock
  std::uint32_t correlation = 0;           ///< the same for all kernels of one launch of a graph
};

/// Who hears of kernels. Calls come from the library's own thread or from flush(), one at a time, in no order.
class KernelRecordListener {
 public:
  virtual ~KernelRecordListener() = default;
  virtual void on_kernels(const std::vector<KernelRecord>& records) = 0;
};

/// Collects records of all kernels of this process while it lives and is not paused. There is one profiling client in a process, so there can be
/// one of these, and none beside another profiler. Graphs made ready before it may be told of as one kernel or not at all.
class DeviceTrace {
 public:
  /// Begins. The listener is borrowed.
  ///   Returns: null, with the reason in one sentence, if the library is missing, too old or in use.
  static std::unique_ptr<DeviceTrace> open(KernelRecordListener& listener, std::string& why_not);
  /// Takes the library out of the process: as long as it is there, even paused, steps take longer.
  ~DeviceTrace();
  DeviceTrace(const DeviceTrace&) = delete;
  DeviceTrace& operator=(const DeviceTrace&) = delete;

  /// Hands records over about as often as that, without being asked; 0: only when a buffer is full.
  void flush_every(int milliseconds);
  /// Stops listening for a while, and goes on.
  void pause();
  void resume();
  /// Hands over the records of everything that the device has done; records of kernels still running may be lost.
  void flush();
  /// Records that the library could not keep, so far.
  [[nodiscard]] std::int64_t dropped() const;

 private:
  DeviceTrace() = default;
};

}  // namespace nvllm::cuda
