#include "bench/profile/collector.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <new>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define NVLLM_COUNT_ALLOCATIONS
namespace {

// Counts what this thread allocates, so that a test can demand nothing. Sanitizers have an allocator of
// their own, which must keep its pairs of new and delete.
thread_local std::int64_t allocation_count = 0;

}  // namespace

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // free of what our own new took from malloc
void* operator new(std::size_t bytes) {
  ++allocation_count;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#pragma GCC diagnostic pop
#endif

namespace nvllm::bench {
namespace {

constexpr std::chrono::microseconds kMicrosecond{1};

LaunchNote note(std::string_view operation, std::int64_t layer, std::int64_t rows, double seconds) {
  return {.operation = operation,
          .layer = layer,
          .shape = {rows, 8, 4},
          .cost = {100, 10},
          .begin = {},
          .seconds = seconds};
}

const KernelStats* find(const Profile& profile, std::string_view operation, std::int64_t layer,
                        ProfilePhase phase = ProfilePhase::kDecode) {
  for (const KernelStats& k : profile.kernels) {
    if (k.identity.operation == operation && k.identity.layer == layer && k.identity.phase == phase) return &k;
  }
  return nullptr;
}

TEST(Collector, SumsUpEachLayerByItself) {
  Collector collector;
  for (const double us : {10.0, 20.0, 60.0}) collector.on_launch(note("matmul", 3, 1, us * 1e-6));
  collector.on_launch(note("matmul", 4, 1, 5e-6));
  const Profile profile = collector.profile();
  ASSERT_EQ(profile.kernels.size(), 2u);
  const KernelStats& k = *find(profile, "matmul", 3);
  EXPECT_EQ(k.call_count, 3);
  EXPECT_NEAR(k.mean_s(), 30e-6, 1e-15);
  EXPECT_NEAR(k.sd_s(), std::sqrt(700.0) * 1e-6, 1e-12);  // (400 + 100 + 900) / 2
  EXPECT_NEAR(k.log_sum, std::log(10e-6) + std::log(20e-6) + std::log(60e-6), 1e-9);
  EXPECT_DOUBLE_EQ(k.min_s, 10e-6);
  EXPECT_DOUBLE_EQ(k.max_s, 60e-6);
  EXPECT_EQ(k.cost, (Cost{300, 30}));
  EXPECT_NEAR(k.quantile_s(0.5) / 20e-6, 1, 0.005);
  EXPECT_EQ(k.quantile_s(1.0), k.max_s);  // not beyond the largest seen
  EXPECT_EQ(find(profile, "matmul", 4)->call_count, 1);
}

TEST(Collector, TellsDecodeStepsFromStepsWithAPrompt) {
  Collector collector;
  const SteadyTime t{};
  collector.on_step_begin({.begin = t, .decode_rows = 2, .prefill_rows = 5, .prefills = 1});
  collector.on_launch(note("matmul", 0, 7, 3e-6));
  collector.on_step_end(t + 10 * kMicrosecond);
  for (int i = 0; i < 2; ++i) {
    collector.on_step_begin({.begin = t, .decode_rows = 3});
    collector.on_launch(note("matmul", 0, 3, 2e-6));
    note_host_work(collector, "sample", t, t + kMicrosecond);
    collector.on_step_end(t + 4 * kMicrosecond);
  }
  const Profile profile = collector.profile();
  EXPECT_EQ(profile.prefills, 1);
  const StepTotals& decode = profile.totals(ProfilePhase::kDecode);
  const StepTotals& prefill = profile.totals(ProfilePhase::kPrefill);
  EXPECT_EQ(decode.count, 2);
  EXPECT_EQ(decode.rows, 6);
  EXPECT_NEAR(decode.wall_s, 8e-6, 1e-15);
  EXPECT_NEAR(decode.kernel_s, 4e-6, 1e-15);
  EXPECT_NEAR(decode.host_s, 2e-6, 1e-15);
  EXPECT_EQ(prefill.count, 1);
  EXPECT_EQ(prefill.rows, 7);
  EXPECT_EQ(find(profile, "matmul", 0, ProfilePhase::kPrefill)->call_count, 1);
  EXPECT_EQ(find(profile, "matmul", 0, ProfilePhase::kDecode)->call_count, 2);
  EXPECT_EQ(find(profile, "sample", -1)->identity.kind, WorkKind::kHost);
  ASSERT_EQ(profile.last_steps.size(), 3u);
  EXPECT_EQ(profile.last_steps[0].prefill_rows, 5);
  EXPECT_NEAR(profile.last_steps[2].host_s, 1e-6, 1e-15);
}

TEST(Collector, RoundsRowCountsUpToPowersOfTwo) {
  Collector collector;
  for (const std::int64_t rows : {1, 2, 3, 4, 5, 8, 200, 256}) collector.on_launch(note("add", 0, rows, 1e-6));
  const Profile profile = collector.profile();
  std::vector<std::int64_t> seen;
  for (const KernelStats& k : profile.kernels) seen.push_back(k.identity.shape.rows);
  EXPECT_EQ(seen, (std::vector<std::int64_t>{1, 2, 4, 8, 256}));
  EXPECT_EQ(profile.kernels[2].row_sum, 3 + 4);
}

TEST(Collector, PoolsWhatExceedsItsLimitAndSaysHowMuch) {
  Collector collector({.identity_max = 2, .operation_max = 1, .event_max = 8, .step_max = 8});
  for (std::int64_t layer = 0; layer < 4; ++layer) collector.on_launch(note("a", layer, 1, 1e-6));
  for (const char* name : {"b", "c"}) collector.on_launch(note(name, 0, 1, 1e-6));
  const auto host = [&] { note_host_work(collector, "d", {}, SteadyTime{} + kMicrosecond); };
  host();
  const Profile profile = collector.profile();
  EXPECT_EQ(profile.pooled_calls, 5);
  EXPECT_EQ(find(profile, "a", kEveryLayer)->call_count, 2);  // layers 2 and 3
  EXPECT_EQ(find(profile, "b", kEveryLayer)->call_count, 1);
  EXPECT_EQ(find(profile, "other", kEveryLayer)->call_count, 2);  // c and d: two pooled rows are all there may be
  std::int64_t calls = 0;
  for (const KernelStats& k : profile.kernels) calls += k.call_count;
  EXPECT_EQ(calls, 7);
  EXPECT_EQ(profile.kernels.size(), 5u);
}

TEST(Collector, KeepsTheLastEventsAndCountsTheRest) {
  Collector collector({.event_max = 3, .step_max = 2});
  for (int i = 1; i <= 5; ++i) {
    collector.on_step_begin({.decode_rows = i});
    collector.on_launch(note("add", i, 1, i * 1e-6));
    collector.on_step_end({});
  }
  const Profile profile = collector.profile();
  ASSERT_EQ(profile.events.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(profile.events[static_cast<std::size_t>(i)].layer, i + 3);
  EXPECT_EQ(profile.dropped_events, 2);
  ASSERT_EQ(profile.last_steps.size(), 2u);
  EXPECT_EQ(profile.last_steps[0].decode_rows, 4);
  EXPECT_EQ(profile.dropped_steps, 3);
  EXPECT_EQ(profile.totals(ProfilePhase::kDecode).count, 5);
}

#ifdef NVLLM_COUNT_ALLOCATIONS
TEST(Collector, AllocatesNothingAfterTheFirstSightOfAnIdentity) {
  Collector collector({.event_max = 4, .step_max = 4, .pending_max = 16});
  const auto step = [&] {
    collector.on_step_begin({.decode_rows = 1});
    for (std::int64_t layer = 0; layer < 40; ++layer)
      collector.on_launch(note("a kernel with a long name", layer, 1, 1e-6));
    note_host_work(collector, "sample", {}, SteadyTime{} + kMicrosecond);
    collector.on_step_end({});
  };
  const std::int64_t before_first = allocation_count;
  step();
  const std::int64_t after_first = allocation_count;
  EXPECT_GT(after_first, before_first);  // the count counts
  for (int i = 0; i < 10; ++i) step();
  EXPECT_EQ(allocation_count, after_first);
}
#endif

TEST(Collector, SurvivesAClockThatDoesNotTick) {
  Collector collector;
  collector.on_launch(note("add", 0, 1, 0));
  const Profile profile = collector.profile();
  const KernelStats& k = profile.kernels.front();
  EXPECT_TRUE(std::isfinite(k.log_sum));
  EXPECT_LE(k.quantile_s(0.5), 1e-9);
}

}  // namespace
}  // namespace nvllm::bench
