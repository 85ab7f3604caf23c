#include "bench/watchdog/watch_rules.h"

#include <gtest/gtest.h>

namespace nvllm::bench {
namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;
constexpr std::int64_t kTotal = 128 * kGiB;

SteadyTime at(double seconds) {
  return SteadyTime{} + std::chrono::duration_cast<SteadyTime::duration>(std::chrono::duration<double>(seconds));
}

WatchLevel level_of(const HostSample& sample, const WatchForecast& forecast = {}) {
  return judge(std::vector{sample}, {}, forecast).level;
}

HostSample with_available(double bytes) {
  HostSample sample;
  sample.mem_total_bytes = kTotal;
  sample.mem_available_bytes = static_cast<std::int64_t>(bytes);
  return sample;
}

TEST(WatchRules, NothingKnownIsOk) {
  EXPECT_EQ(judge({}, {}, {}).level, WatchLevel::kOk);
  EXPECT_EQ(level_of({}, {.flush_bytes = kGiB, .trace_bytes = kGiB}), WatchLevel::kOk);
}

TEST(WatchRules, AvailableMemoryFollowsTheTable) {
  const auto total = static_cast<double>(kTotal);
  EXPECT_EQ(level_of(with_available(0.151 * total)), WatchLevel::kOk);
  EXPECT_EQ(level_of(with_available(0.149 * total)), WatchLevel::kWarn);
  EXPECT_EQ(level_of(with_available(0.081 * total)), WatchLevel::kWarn);  // 10.4 GiB: the share is above 6 GiB
  EXPECT_EQ(level_of(with_available(0.079 * total)), WatchLevel::kSoftStop);
  EXPECT_EQ(level_of(with_available(0.041 * total)), WatchLevel::kSoftStop);
  EXPECT_EQ(level_of(with_available(0.039 * total)), WatchLevel::kHardStop);
}

TEST(WatchRules, AbsoluteFloorsRuleWhereSharesAreSmaller) {
  HostSample sample = with_available(5.9 * static_cast<double>(kGiB));
  sample.mem_total_bytes = 64 * kGiB;  // 8 % are 5.1 GiB, 4 % are 2.6 GiB
  EXPECT_EQ(level_of(sample), WatchLevel::kSoftStop);
  sample.mem_available_bytes = static_cast<std::int64_t>(2.9 * static_cast<double>(kGiB));
  EXPECT_EQ(level_of(sample), WatchLevel::kHardStop);
}

TEST(WatchRules, APredictedFlushMustFitTwice) {
  const HostSample sample = with_available(20.0 * static_cast<double>(kGiB));
  EXPECT_EQ(level_of(sample, {.flush_bytes = 10 * kGiB - 1}), WatchLevel::kOk);
  EXPECT_EQ(level_of(sample, {.flush_bytes = 10 * kGiB + 1}), WatchLevel::kSoftStop);
}

TEST(WatchRules, FloorsShrinkWithTheHostButStayBelowTheWarning) {
  for (const std::int64_t total : {4 * kGiB, 16 * kGiB, 64 * kGiB, 512 * kGiB}) {
    const WatchThresholds t = thresholds_for(total);
    EXPECT_LT(static_cast<double>(t.mem_soft_bytes), t.mem_warn_share * static_cast<double>(total)) << total;
    EXPECT_LT(t.mem_hard_bytes, t.mem_soft_bytes) << total;
  }
  EXPECT_EQ(thresholds_for(kTotal).mem_soft_bytes, 6 * kGiB);
  EXPECT_EQ(thresholds_for(kTotal).mem_hard_bytes, 3 * kGiB);
}

WatchLevel after_pressure(const std::vector<double>& pct_each_second) {
  std::vector<HostSample> samples;
  for (const double pct : pct_each_second) {
    HostSample sample;
    sample.time = at(static_cast<double>(samples.size()));
    sample.psi_full_pct = pct;
    samples.push_back(sample);
  }
  return judge(samples, {}, {}).level;
}

TEST(WatchRules, PressureStopsOnlyWhenItLasts) {
  EXPECT_EQ(after_pressure({5}), WatchLevel::kOk);
  EXPECT_EQ(after_pressure({6}), WatchLevel::kWarn);
  EXPECT_EQ(after_pressure(std::vector<double>(10, 90.0)), WatchLevel::kWarn);      // nine seconds
  EXPECT_EQ(after_pressure(std::vector<double>(11, 41.0)), WatchLevel::kHardStop);  // ten
  EXPECT_EQ(after_pressure(std::vector<double>(11, 16.0)), WatchLevel::kSoftStop);
  std::vector<double> interrupted(11, 41.0);
  interrupted[5] = 14;
  EXPECT_EQ(after_pressure(interrupted), WatchLevel::kWarn);
  interrupted[5] = 39;  // still enough for a soft stop
  EXPECT_EQ(after_pressure(interrupted), WatchLevel::kSoftStop);
  std::vector<double> over(11, 90.0);
  over.back() = 1;
  EXPECT_EQ(after_pressure(over), WatchLevel::kOk);
}

TEST(WatchRules, APauseInWhatIsKnownBreaksALastingPressure) {
  std::vector<HostSample> samples(12);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    samples[i].time = at(static_cast<double>(i));
    if (i != 6) samples[i].psi_full_pct = 90;
  }
  EXPECT_EQ(judge(samples, {}, {}).level, WatchLevel::kWarn);
}

WatchLevel after_swapping(double mb_per_s, int seconds) {
  std::vector<HostSample> samples;
  for (int i = 0; i <= seconds; ++i) {
    HostSample sample;
    sample.time = at(i);
    sample.swap_in_bytes = static_cast<std::int64_t>(1e9 + mb_per_s * 1e6 * i);
    samples.push_back(sample);
  }
  return judge(samples, {}, {}).level;
}

TEST(WatchRules, SwapIsARateBetweenTwoLooks) {
  EXPECT_EQ(after_swapping(1000, 0), WatchLevel::kOk);  // one look has no rate
  EXPECT_EQ(after_swapping(49, 1), WatchLevel::kOk);
  EXPECT_EQ(after_swapping(51, 1), WatchLevel::kWarn);
  EXPECT_EQ(after_swapping(201, 10), WatchLevel::kWarn);  // ten rates span nine seconds
  EXPECT_EQ(after_swapping(201, 11), WatchLevel::kSoftStop);
  EXPECT_EQ(after_swapping(199, 30), WatchLevel::kWarn);
}

TEST(WatchRules, FreeDiskIsCountedInTraces) {
  HostSample sample;
  sample.disk_free_bytes = 4 * kGiB;
  EXPECT_EQ(level_of(sample, {}), WatchLevel::kOk);
  EXPECT_EQ(level_of(sample, {.trace_bytes = kGiB}), WatchLevel::kOk);
  EXPECT_EQ(level_of(sample, {.trace_bytes = kGiB + 1}), WatchLevel::kWarn);
  EXPECT_EQ(level_of(sample, {.trace_bytes = 4 * kGiB + 1}), WatchLevel::kSoftStop);
}

TEST(WatchRules, SilenceWarnsAfterOneMinuteAndStopsAfterFiveAndTen) {
  const auto silent = [](double seconds) {
    HostSample sample;
    sample.silence_s = seconds;
    return level_of(sample);
  };
  EXPECT_EQ(silent(60), WatchLevel::kOk);
  EXPECT_EQ(silent(61), WatchLevel::kWarn);
  EXPECT_EQ(silent(301), WatchLevel::kSoftStop);
  EXPECT_EQ(silent(601), WatchLevel::kHardStop);
}

TEST(WatchRules, TheGpuOnlyWarns) {
  HostSample sample;
  sample.gpu_memory_pct = 95.1;
  EXPECT_EQ(level_of(sample), WatchLevel::kWarn);
  sample.gpu_memory_pct = 94.9;
  EXPECT_EQ(level_of(sample), WatchLevel::kOk);
  sample.throttle_bits = 0x20;
  EXPECT_EQ(level_of(sample), WatchLevel::kWarn);
}

TEST(WatchRules, TheWorstFindingDecidesAndAllAreNamed) {
  HostSample sample = with_available(0.01 * static_cast<double>(kTotal));
  sample.silence_s = 100;
  const WatchVerdict verdict = judge(std::vector{sample}, {}, {});
  EXPECT_EQ(verdict.level, WatchLevel::kHardStop);
  ASSERT_EQ(verdict.findings.size(), 2u);
  EXPECT_EQ(verdict.findings[0].signal, "mem_available");
  EXPECT_NE(verdict.findings[0].text.find("1.28 GiB"), std::string::npos) << verdict.findings[0].text;
  EXPECT_EQ(verdict.findings[1].signal, "silence");
  EXPECT_EQ(verdict.findings[1].level, WatchLevel::kWarn);
}

}  // namespace
}  // namespace nvllm::bench
