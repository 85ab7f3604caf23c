#pragma once

// The device as the rest of nvllm sees it: memory that frees itself, and failures as errors.

#include <cstddef>
#include <cstdint>
#include <string>

#include "tensor/buffer.h"

namespace nvllm::cuda {

/// A device that can be used.
struct DeviceFacts {
  std::string name;
  int compute_capability = 0;  ///< 90 for 9.0
  int multiprocessors = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t second_level_cache_bytes = 0;
  int shared_bytes = 0;  ///< that one CTA may have
};

/// The first device, or in `why_not` one sentence that says why there is none.
///   Cost: starts the driver on first call.
[[nodiscard]] bool find_device(DeviceFacts& facts, std::string& why_not);

/// Memory on the device. Moves; frees itself.
///   Errors: Error(kDevice) if there is not enough.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(std::int64_t bytes);
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  ~DeviceBuffer();

  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(data_);
  }
  /// Gives the memory away as a buffer that frees itself.
  [[nodiscard]] Buffer release() &&;
  /// Copies from or to host memory, and waits.
  void upload(const void* from, std::int64_t bytes, std::int64_t at = 0);
  void download(void* to, std::int64_t bytes, std::int64_t at = 0) const;
  /// Sets every byte, and waits.
  void fill(std::uint8_t value);

 private:
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

}  // namespace nvllm::cuda
