#include "bench/run/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/hashing.h"
#include "base/units.h"
#include "bench/run/provenance.h"
#include "bench/watchdog/host_sampler.h"
#include "net/http_server.h"

namespace nvllm::bench {

namespace {

using State = Checkup::State;

Checkup from_watchdog(const std::filesystem::path& folder) {
  SamplerOptions options;
  options.disk = folder;
  const HostSample sample = sample_host(options, SystemClock().now());
  WatchThresholds thresholds;
  if (sample.mem_total_bytes) thresholds = thresholds_for(*sample.mem_total_bytes);
  const WatchVerdict verdict =
      judge(std::array{sample}, thresholds, {.flush_bytes = 64 << 20, .trace_bytes = 16 << 20});
  Checkup check{.state = State::kOk, .name = "memory, disk", .text = {}};
  check.text = fmt::format(
      "{} of memory and {} of disk are free",
      sample.mem_available_bytes ? format_bytes(*sample.mem_available_bytes) : "an unknown amount",
      sample.disk_free_bytes ? format_bytes(*sample.disk_free_bytes) : "an unknown amount");
  for (const WatchFinding& finding : verdict.findings)
    check.text += fmt::format("; {}: {}", finding.signal, finding.text);
  if (verdict.level == WatchLevel::kWarn) check.state = State::kWarn;
  if (verdict.level > WatchLevel::kWarn) check.state = State::kUnfit;
  return check;
}

Checkup load() {
  std::array<double, 1> average{};
  if (::getloadavg(average.data(), 1) != 1)
    return {State::kWarn, "load", "the system does not tell it"};
  const double cores = std::max(1u, std::thread::hardware_concurrency());
  const bool busy = average[0] > 0.25 * cores;
  return {busy ? State::kWarn : State::kOk, "load",
          fmt::format("{:.2f} over the last minute on {:.0f} threads{}", average[0], cores,
                      busy ? ": others are working here, times will scatter" : "")};
}

Checkup governor() {
  std::ifstream file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  std::string name;
  if (!(file >> name)) return {State::kOk, "clock policy", "not told by the system"};
  const bool steady = name == "performance";
  return {steady ? State::kOk : State::kWarn, "clock policy",
          fmt::format("governor {}{}", name, steady ? "" : ": clocks follow the load")};
}

Checkup loopback() {
  try {
    const net::HttpServer server({.port = 0}, [](const std::shared_ptr<net::Exchange>&) {});
    return {State::kOk, "port", fmt::format("a free loopback port was found ({})", server.port())};
  } catch (const Error& error) {
    return {State::kUnfit, "port", error.what()};
  }
}

Checkup model_files(const std::filesystem::path& model) {
  if (!std::filesystem::is_directory(model)) {
    return {State::kUnfit, "model", fmt::format("{}: no such folder", model.string())};
  }
  const Json facts = model_facts(model);
  return {State::kOk, "model",
          fmt::format("{} files, sha256 {}", facts.at("files").size(),
                      facts.at("sha256").get<std::string>().substr(0, 16))};
}

/// A fixed piece of work, again and again: its scatter is what no measurement here can get below.
Checkup scatter(double probe_s) {
  const std::string block(1 << 18, 'x');
  std::vector<double> logs;
  const SystemClock clock;
  const SteadyTime begin = clock.now();
  while (seconds_between(begin, clock.now()) < probe_s || logs.size() < 8) {
    const SteadyTime start = clock.now();
    static_cast<void>(sha256_hex(std::string_view(block)));
    logs.push_back(std::log(seconds_between(start, clock.now())));
  }
  std::sort(logs.begin(), logs.end());
  const auto at = [&](double share) {
    return logs[static_cast<std::size_t>(share * static_cast<double>(logs.size() - 1))];
  };
  const double spread = std::expm1(at(0.95) - at(0.5));
  return {spread > 0.05 ? State::kWarn : State::kOk, "noise probe",
          fmt::format("one in twenty of {} equal pieces of work took {:.1f} % longer than the "
                      "middle one, or more",
                      logs.size(), spread * 100)};
}

}  // namespace

std::vector<Checkup> examine_host(const std::filesystem::path& folder,
                                  const std::filesystem::path& model, double probe_s) {
  std::vector<Checkup> checks = {from_watchdog(folder), load(), governor(), loopback()};
  if (!model.empty()) checks.push_back(model_files(model));
  checks.push_back(scatter(probe_s));
  return checks;
}

std::string checkup_text(const std::vector<Checkup>& checks) {
  std::string text;
  for (const Checkup& check : checks) {
    const char* state = check.state == State::kOk     ? "ok"
                        : check.state == State::kWarn ? "warn"
                                                      : "UNFIT";
    text += fmt::format("{:<6} {:<13} {}\n", state, check.name, check.text);
  }
  return text;
}

}  // namespace nvllm::bench
