#include "kernels/cuda/device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/cuda/stream.h"
#include "support/device.h"

namespace nvllm::cuda {
namespace {

constexpr std::int64_t kBytes = 4096;

class DeviceMemoryOnDevice : public test::OnDevice {};

/// What lies in `buffer` once another stream has copied ones over what `prepare` did to it.
template <class Prepare>
std::vector<std::uint8_t> after(DeviceBuffer& buffer, const Prepare& prepare) {
  const PinnedBuffer ones(kBytes);
  std::fill_n(ones.as<std::uint8_t>(), kBytes, std::uint8_t{1});
  Stream stream;
  prepare();
  copy_to_device(buffer.as<void>(), ones.as<void>(), kBytes, stream);
  stream.wait();
  std::vector<std::uint8_t> got(kBytes);
  buffer.download(got.data(),
                  kBytes);  // by the default stream: behind everything that was asked of it
  return got;
}

TEST_F(DeviceMemoryOnDevice, FillsAndUploadsAreDoneBeforeAnotherStreamGoesOn) {
  // The default stream has much to do, as when other programs use the device too.
  DeviceBuffer busy(std::int64_t{8} << 30), buffer(kBytes);
  const std::vector<std::uint8_t> ones(kBytes, 1), zeros(kBytes, 0);
  const auto keep_busy = [&] { fill_device(busy.as<void>(), 0, busy.bytes(), nullptr); };
  EXPECT_EQ(after(buffer, [&] { keep_busy(), buffer.fill(0); }), ones);
  EXPECT_EQ(after(buffer, [&] { keep_busy(), buffer.upload(zeros.data(), kBytes); }), ones);
}

}  // namespace
}  // namespace nvllm::cuda
