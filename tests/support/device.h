#pragma once

// Tests that need a CUDA device skip with the reason where there is none.

#include <gtest/gtest.h>

#include <string>

#include "kernels/cuda/device.h"
#include "kernels/cuda/stream.h"

namespace nvllm::test {

inline cuda::DeviceFacts device_facts() {
  cuda::DeviceFacts facts;
  std::string why_not;
  return cuda::find_device(facts, why_not) ? facts : cuda::DeviceFacts{};
}

/// Copies from device memory that no buffer of the test owns.
inline void download(void* to, const void* from, std::int64_t bytes) {
  cuda::Stream stream;
  cuda::copy_to_host(to, from, bytes, stream);
  stream.wait();
}

class OnDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    cuda::DeviceFacts facts;
    std::string why_not;
    if (!cuda::find_device(facts, why_not)) GTEST_SKIP() << why_not;
  }
};

}  // namespace nvllm::test
