#pragma once

// A profile of whatever kernels a process runs: names and times, and nothing of layers or steps, which only the program knows.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "bench/profile/collector.h"
#include "kernels/cuda/device_trace.h"

namespace nvllm::inject {

/// Adds up kernels between a start and a stop. Safe from several threads.
class KernelProfile final : public cuda::KernelRecordListener {
 public:
  /// `root`: of the numbered folders; `program`: whose kernels they are.
  KernelProfile(std::filesystem::path root, std::string program) : root_(std::move(root)), program_(std::move(program)) {}

  /// Begins.  Returns: false if it had begun.
  bool start();
  /// Ends and writes a folder as bench::write_profile does; nothing if it had not begun.
  ///   `dropped`: records that the library could not keep.
  ///   Errors: Error(kBadFile); the profile is over then, too.
  std::filesystem::path stop(std::int64_t dropped);
  [[nodiscard]] bool runs() const;
  /// Kernels since the start.
  [[nodiscard]] std::int64_t kernels() const;

  /// Called with the first kernels of the process, once.
  void on_first(std::function<void()> call) { on_first_ = std::move(call); }
  void on_kernels(const std::vector<cuda::KernelRecord>& records) override;

 private:
  const std::string& name_of(const char* mangled);

  const std::filesystem::path root_;
  const std::string program_;
  mutable std::mutex mutex_;
  std::unordered_map<const char*, std::string> names_;  ///< short ones; a collector's notes view them
  std::unique_ptr<bench::Collector> collector_;         ///< while a profile runs
  SteadyTime begin_{};
  std::function<void()> on_first_;
  std::uint64_t first_ns_ = 0;
  std::int64_t kernels_ = 0, dropped_before_ = 0;
};

}  // namespace nvllm::inject
