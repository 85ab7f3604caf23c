#include "kernels/cpu/roofs.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/kernel_fixture.h"

namespace nvllm::test {
namespace {

class Roofs : public OnEachSimdTarget {};

TEST_P(Roofs, ReadSweepReadsEveryByte) {
  // Read in words of eight bytes, the tail in bytes: the sum of both forms of the same data.
  for (const std::int64_t workers : {1, 3}) {
    cpu::WorkerPool pool(workers);
    std::vector<std::byte> data(24 * 1000, std::byte{0});
    EXPECT_EQ(cpu::read_sweep(data, pool), 0u);
    for (std::size_t at = 0; at < data.size(); at += 997) {
      data[at] = std::byte{1};
      EXPECT_NE(cpu::read_sweep(data, pool), 0u) << "byte " << at << " of " << workers << " workers";
      data[at] = std::byte{0};
    }
    const std::vector<std::byte> odd(13, std::byte{2});
    EXPECT_NE(cpu::read_sweep(odd, pool), 0u);
  }
}

TEST_P(Roofs, DotRoofDoesAtLeastWhatWasAsked) {
  std::vector<cpu::DotUnit> units = {cpu::DotUnit::kFloat, cpu::DotUnit::kInt16};
  if (cpu::simd_target().bf16_dot) units.push_back(cpu::DotUnit::kBf16);
  for (const cpu::DotUnit unit : units) {
    for (const std::int64_t workers : {1, 2}) {
      cpu::WorkerPool pool(workers);
      const std::int64_t done = cpu::dot_roof(unit, 1'000'000, pool);
      EXPECT_GE(done, 1'000'000);
      EXPECT_LE(done, 1'100'000);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Simd, Roofs, testing::ValuesIn(cpu::simd_targets()), simd_target_name_of);

}  // namespace
}  // namespace nvllm::test
