#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace nvllm {

/// Owns raw bytes and knows how to free them. Moves, never copies.
class Buffer {
 public:
  using Free = void (*)(void* data, std::size_t bytes);

  Buffer() = default;
  /// Host memory, aligned to 64 bytes (to 2 MiB with a huge-page hint from 4 MiB up), zeroed and
  /// resident.
  static Buffer host(std::size_t bytes);
  /// Takes over memory that `free` can release.
  Buffer(void* data, std::size_t bytes, Free free) : data_(data), bytes_(bytes), free_(free) {}
  ~Buffer() { reset(); }
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)), free_(other.free_) {}
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      reset();
      data_ = std::exchange(other.data_, nullptr);
      bytes_ = std::exchange(other.bytes_, 0);
      free_ = other.free_;
    }
    return *this;
  }

  template <class T>
  T* as() { return static_cast<T*>(data_); }
  template <class T>
  const T* as() const { return static_cast<const T*>(data_); }
  std::size_t bytes() const { return bytes_; }

 private:
  void reset() {
    if (data_ != nullptr) free_(data_, bytes_);
    data_ = nullptr;
  }

  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  Free free_ = nullptr;
};

}  // namespace nvllm
