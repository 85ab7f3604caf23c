// Kernel files have no size beforehand and may be missing (containers, kernels without PSI), so they
// are read line by line and every field is optional.

#include "bench/watchdog/host_sampler.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <limits>
#include <sstream>
#include <string>

namespace nvllm::bench {

namespace {

constexpr std::int64_t kLineMax = 10000;  // no kernel file that is read here has nearly as many

void for_each_line(const std::filesystem::path& path, const std::function<void(std::istringstream&)>& use) {
  std::ifstream file(path);
  std::string line;
  for (std::int64_t i = 0; i < kLineMax && std::getline(file, line); ++i) {
    std::istringstream words(line);
    use(words);
  }
}

/// A count that is not negative and stays in range when multiplied by its unit.
std::optional<std::int64_t> read_bytes(std::istringstream& words, std::int64_t unit_bytes) {
  std::int64_t count = 0;
  if (!(words >> count) || count < 0 || count > std::numeric_limits<std::int64_t>::max() / unit_bytes)
    return std::nullopt;
  return count * unit_bytes;
}

void read_meminfo(const std::filesystem::path& path, HostSample& sample) {
  for_each_line(path, [&](std::istringstream& words) {
    std::string key;
    words >> key;
    if (key == "MemTotal:") sample.mem_total_bytes = read_bytes(words, 1024);
    if (key == "MemAvailable:") sample.mem_available_bytes = read_bytes(words, 1024);
  });
}

/// Lines such as "full avg10=1.25 avg60=0.50 avg300=0.10 total=12345".
void read_pressure(const std::filesystem::path& path, HostSample& sample) {
  for_each_line(path, [&](std::istringstream& words) {
    std::string kind, field;
    words >> kind >> field;
    constexpr std::string_view kPrefix = "avg10=";
    if (!field.starts_with(kPrefix)) return;
    std::istringstream number(field.substr(kPrefix.size()));
    double pct = 0;
    if (!(number >> pct)) return;
    if (kind == "some") sample.psi_some_pct = pct;
    if (kind == "full") sample.psi_full_pct = pct;
  });
}

void read_vmstat(const std::filesystem::path& path, HostSample& sample) {
  for_each_line(path, [&](std::istringstream& words) {
    std::string key;
    words >> key;
    if (key == "pswpin") sample.swap_in_bytes = read_bytes(words, ::sysconf(_SC_PAGESIZE));
  });
}

/// The second number of statm: resident pages.
void read_statm(const std::filesystem::path& path, HostSample& sample) {
  for_each_line(path, [&](std::istringstream& words) {
    std::int64_t size = 0;
    if (words >> size) sample.rss_bytes = read_bytes(words, ::sysconf(_SC_PAGESIZE));
  });
}

std::optional<std::int64_t> free_space(const std::filesystem::path& path) {
  struct statvfs info {};
  if (path.empty() || ::statvfs(path.c_str(), &info) != 0) return std::nullopt;
  return static_cast<std::int64_t>(info.f_bavail) * static_cast<std::int64_t>(info.f_frsize);
}

}  // namespace

HostSample sample_host(const SamplerOptions& options, SteadyTime now) {
  HostSample sample;
  sample.time = now;
  read_meminfo(options.proc_root / "meminfo", sample);
  read_pressure(options.proc_root / "pressure/memory", sample);
  read_vmstat(options.proc_root / "vmstat", sample);
  if (options.pid) read_statm(options.proc_root / std::to_string(*options.pid) / "statm", sample);
  sample.disk_free_bytes = free_space(options.disk);
  return sample;
}

}  // namespace nvllm::bench
