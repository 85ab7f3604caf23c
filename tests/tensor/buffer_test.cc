#include "tensor/buffer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <vector>

namespace nvllm {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST(Buffer, IsZeroedAndAlignedForVectorsAndHugePages) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{100}, kMiB, 4 * kMiB, 5 * kMiB + 12'345}) {
    const Buffer buffer = Buffer::host(bytes);
    ASSERT_EQ(buffer.bytes(), bytes);
    const auto* data = buffer.as<unsigned char>();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % (bytes >= 4 * kMiB ? 2 * kMiB : 64), 0u) << bytes;
    EXPECT_TRUE(std::all_of(data, data + bytes, [](unsigned char byte) { return byte == 0; })) << bytes;
  }
}

TEST(Buffer, OfNothingHoldsNothing) {
  const Buffer buffer = Buffer::host(0);
  EXPECT_EQ(buffer.bytes(), 0u);
  EXPECT_EQ(buffer.as<char>(), nullptr);
}

// The plan counts bytes: what a buffer makes resident beyond them would be missing from it.
TEST(Buffer, IsResidentByItsBytesAndGoesBackToTheSystemWhenFreed) {
  constexpr std::size_t kBytes = 7 * kMiB + 4096, kCount = 16;
  const std::int64_t before = resident_bytes();
  std::vector<Buffer> buffers;
  for (std::size_t i = 0; i < kCount; ++i) buffers.push_back(Buffer::host(kBytes));
  const auto wanted = static_cast<std::int64_t>(kCount * kBytes);
  EXPECT_GE(resident_bytes() - before, wanted * 99 / 100);
  EXPECT_LE(resident_bytes() - before, wanted * 101 / 100);
  buffers.clear();
  EXPECT_LE(resident_bytes() - before, static_cast<std::int64_t>(kMiB));
}

}  // namespace
}  // namespace nvllm
