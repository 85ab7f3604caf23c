#include "bench/watchdog/host_sampler.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "bench/watchdog/fake_proc.h"

namespace nvllm::bench {
namespace {

TEST(HostSampler, ReadsWhatTheKernelSays) {
  test::FakeProc proc;
  proc.write("42/statm", "1000 77 5 1 0 2 0\n");
  const SteadyTime now = SteadyTime{} + std::chrono::seconds(9);
  const HostSample sample = sample_host({.proc_root = proc.path(), .disk = proc.path(), .pid = 42}, now);
  EXPECT_EQ(sample.time, now);
  EXPECT_EQ(sample.mem_total_bytes, 64'000'000ll * 1024);
  EXPECT_EQ(sample.mem_available_bytes, 32'000'000ll * 1024);
  EXPECT_EQ(sample.psi_some_pct, 0.5);
  EXPECT_EQ(sample.psi_full_pct, 0.25);
  EXPECT_EQ(sample.swap_in_bytes, 10 * ::sysconf(_SC_PAGESIZE));
  EXPECT_EQ(sample.rss_bytes, 77 * ::sysconf(_SC_PAGESIZE));
  EXPECT_GT(sample.disk_free_bytes.value_or(-1), 0);
  EXPECT_FALSE(sample.silence_s.has_value());
}

TEST(HostSampler, LeavesOutWhatIsMissing) {
  test::FakeProc proc;
  proc.remove("pressure");
  proc.remove("vmstat");
  const HostSample sample = sample_host({.proc_root = proc.path(), .disk = proc.path() / "absent", .pid = 42}, {});
  EXPECT_TRUE(sample.mem_available_bytes.has_value());
  EXPECT_FALSE(sample.psi_full_pct || sample.psi_some_pct || sample.swap_in_bytes || sample.rss_bytes ||
               sample.disk_free_bytes);
  const HostSample nothing = sample_host({.proc_root = "/nowhere/at/all"}, {});
  EXPECT_FALSE(nothing.mem_total_bytes || nothing.mem_available_bytes || nothing.disk_free_bytes);
}

TEST(HostSampler, TakesNonsenseForUnknown) {
  test::FakeProc proc;
  proc.write("meminfo", "MemTotal: many kB\nMemAvailable: -5 kB\n\nMemAvailable:\n");
  proc.write("pressure/memory", "full avg10=high\nsome\n\nfull avg10=\n");
  proc.write("vmstat", "pswpin 99999999999999999999999\n");
  proc.write("42/statm", "\n");
  const HostSample sample = sample_host({.proc_root = proc.path(), .disk = {}, .pid = 42}, {});
  EXPECT_FALSE(sample.mem_total_bytes || sample.mem_available_bytes || sample.psi_full_pct || sample.psi_some_pct ||
               sample.swap_in_bytes || sample.rss_bytes);
}

TEST(HostSampler, FindsThisHostsMemory) {
  const HostSample sample = sample_host({.disk = "/", .pid = ::getpid()}, {});
  if (!sample.mem_total_bytes) GTEST_SKIP() << "no /proc/meminfo here";
  EXPECT_GT(*sample.mem_total_bytes, *sample.mem_available_bytes);
  EXPECT_GT(sample.rss_bytes.value_or(0), 1 << 20);
}

}  // namespace
}  // namespace nvllm::bench
