#include "bench/run/noise.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "bench/analysis/open_folder.h"
#include "bench/records/kernel_name.h"
#include "bench/records/per_token.h"
#include "bench/store/journal.h"
#include "bench/store/json_field.h"
#include "bench/store/manifest.h"

namespace nvllm::bench {

namespace {

constexpr std::int64_t kFileBytesMax = 16 << 20;

/// Squares around group means, added up over groups.
struct PooledScatter {
  double squares = 0, df = 0;

  void add(const std::vector<double>& times) {
    if (times.size() < 2) return;
    std::vector<double> logs;
    for (const double time : times) logs.push_back(std::log(time));
    const double mean =
        std::accumulate(logs.begin(), logs.end(), 0.0) / static_cast<double>(logs.size());
    for (const double log : logs) squares += (log - mean) * (log - mean);
    df += static_cast<double>(logs.size() - 1);
  }
  double sigma() const { return std::sqrt(squares / df); }
};

/// Milliseconds per decode step by kernel class.
std::map<std::string, double> class_times(const KernelTable& table) {
  std::map<std::string, double> times;
  for (const KernelRow& row : table.rows) {
    times[std::string(to_string(classify_kernel(row.name)))] +=
        row.total_ms / static_cast<double>(table.decode_steps);
  }
  return times;
}

/// Mean time of a call by short kernel name.
std::map<std::string, double> call_times(const KernelTable& table) {
  std::map<std::string, std::pair<double, std::int64_t>> sums;
  for (const KernelRow& row : table.rows) {
    auto& [ms, calls] = sums[row.short_name];
    ms += row.total_ms;
    calls += row.n_calls;
  }
  std::map<std::string, double> times;
  for (const auto& [name, sum] : sums) {
    if (sum.first > 0) times[name] = sum.first / static_cast<double>(sum.second);
  }
  return times;
}

/// Geometric mean time of a call by short kernel name, over that of all calls; empty where the
/// table's source did not keep it.
std::map<std::string, double> relative_times(const KernelTable& table) {
  std::map<std::string, std::pair<double, double>> sums;  // of logarithms, and of calls
  double logs = 0, calls = 0;
  for (const KernelRow& row : table.rows) {
    if (!row.log_mean) return {};
    const auto weight = static_cast<double>(row.n_calls);
    sums[row.short_name].first += *row.log_mean * weight;
    sums[row.short_name].second += weight;
    logs += *row.log_mean * weight;
    calls += weight;
  }
  std::map<std::string, double> times;
  for (const auto& [name, sum] : sums) {
    times[name] = std::exp(sum.first / sum.second - logs / calls);
  }
  return times;
}

/// Mean time from "started" to "sealed" by phase, out of the journal of one boot of the machine.
std::map<std::string, double> unit_seconds(const std::filesystem::path& folder) {
  std::map<std::string, std::int64_t> begun;
  std::map<std::string, std::pair<double, double>> sums;
  for (const JournalEvent& event : read_journal(folder / "journal.jsonl").events) {
    if (event.event == events::kStarted) begun[event.unit] = event.t_mono_ns;
    if (event.event != events::kSealed || event.t_mono_ns < begun[event.unit]) continue;
    auto& [seconds, count] = sums[parse_unit_name(event.unit).phase];
    seconds += static_cast<double>(event.t_mono_ns - begun[event.unit]) * 1e-9;
    ++count;
  }
  std::map<std::string, double> means;
  for (const auto& [phase, sum] : sums) means[phase] = sum.first / sum.second;
  return means;
}

}  // namespace

NoiseFloor measure_noise(const std::filesystem::path& folder) {
  const EvidenceFolder evidence = open_evidence(folder);
  NoiseFloor noise;
  PooledScatter all;
  std::map<std::string, PooledScatter> classes, kernels, relative;
  for (const LegEvidence& leg : evidence.legs) {
    std::vector<double> steps;
    std::map<std::string, std::vector<double>> by_class, by_kernel, by_share;
    for (const KernelTable& table : leg.profiles) {
      if (const auto ms = kernels_ms_per_step(table)) steps.push_back(*ms);
      if (table.decode_steps <= 0) continue;
      for (const auto& [name, ms] : class_times(table)) by_class[name].push_back(ms);
      for (const auto& [name, ms] : call_times(table)) by_kernel[name].push_back(ms);
      for (const auto& [name, share] : relative_times(table)) by_share[name].push_back(share);
    }
    if (steps.size() < 2) continue;
    ++noise.legs;
    noise.boots += static_cast<std::int64_t>(steps.size());
    all.add(steps);
    for (const auto& [name, times] : by_class) classes[name].add(times);
    for (const auto& [name, times] : by_kernel) kernels[name].add(times);
    for (const auto& [name, shares] : by_share) relative[name].add(shares);
  }
  if (all.df <= 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: no leg was profiled in two boots; noise is what differs between "
                            "them",
                            folder.string()));
  }
  noise.boot_sigma = all.sigma();
  noise.df = all.df;
  for (const auto& [scatters, into] :
       {std::pair(&classes, &noise.classes), std::pair(&kernels, &noise.kernels),
        std::pair(&relative, &noise.relative)}) {
    for (const auto& [name, scatter] : *scatters) {
      if (scatter.df > 0) (*into)[name] = scatter.sigma();
    }
  }
  noise.unit_s = unit_seconds(folder);
  return noise;
}

Json noise_json(const NoiseFloor& noise, const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "provenance.json";
  Json json;
  json["schema"] = "nvllm.noise/v1";
  json["sigma_boot"] = noise.boot_sigma;
  json["df"] = noise.df;
  json["boots"] = noise.boots;
  json["legs"] = noise.legs;
  json["classes"] = noise.classes;
  json["kernels"] = noise.kernels;
  json["relative"] = noise.relative;
  json["unit_s"] = noise.unit_s;
  if (std::filesystem::exists(path)) {
    const Json provenance = parse_json(read_file(path, kFileBytesMax), "provenance.json");
    for (const char* key : {"host", "cpu"}) {
      if (provenance.contains(key)) json[key] = provenance.at(key);
    }
  }
  if (has_manifest(folder)) json["folder_identity"] = folder_identity(folder);
  return json;
}

NoiseFloor read_noise_floor(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const Json json = parse_json(read_file(path, kFileBytesMax), name);
  NoiseFloor noise;
  noise.boot_sigma = number_field(json, "sigma_boot", name);
  noise.df = number_field(json, "df", name);
  noise.boots = int_field(json, "boots", name);
  noise.legs = int_field(json, "legs", name);
  for (const auto& [key, into] :
       {std::pair("classes", &noise.classes), std::pair("kernels", &noise.kernels),
        std::pair("relative", &noise.relative), std::pair("unit_s", &noise.unit_s)}) {
    if (!json.contains(key)) continue;
    for (const auto& [item, value] : json.at(key).items()) {
      (*into)[item] = number_field(json.at(key), item.c_str(), name);
    }
  }
  return noise;
}

}  // namespace nvllm::bench
