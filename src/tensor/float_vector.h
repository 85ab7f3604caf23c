#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/buffer.h"

namespace nvllm {

/// Small parameters as kernels read them: in host memory, or where a backend has put them.
class FloatVector {
 public:
  FloatVector() = default;
  /// In host memory.
  FloatVector(const std::vector<float>& values)  // NOLINT(google-explicit-constructor): a place for a vector
      : buffer_(Buffer::host(values.size() * sizeof(float))), size_(values.size()) {
    std::ranges::copy(values, buffer_.as<float>());
  }
  /// Takes over `size` floats that a backend has put somewhere.
  FloatVector(Buffer buffer, std::size_t size) : buffer_(std::move(buffer)), size_(size) {}

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] const float* data() const { return buffer_.as<float>(); }
  operator std::span<const float>() const { return {data(), size_}; }  // NOLINT(google-explicit-constructor)

 private:
  Buffer buffer_;
  std::size_t size_ = 0;
};

}  // namespace nvllm
