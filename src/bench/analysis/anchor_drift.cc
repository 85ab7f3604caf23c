#include "bench/analysis/anchor_drift.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>

#include "bench/analysis/kernels_ab.h"
#include "bench/stats/clusters.h"

namespace nvllm::bench {

namespace {

constexpr double kAlarm = 0.005;

/// Log ratios of the anchors met so far.
struct Ratios {
  std::vector<double> logs, weights;
  std::vector<std::string> kernels;

  void add(double log_ratio, double weight, const std::string& kernel) {
    logs.push_back(log_ratio);
    weights.push_back(weight);
    if (std::find(kernels.begin(), kernels.end(), kernel) == kernels.end())
      kernels.push_back(kernel);
  }
  std::optional<CommonDrift> drift() const {
    if (logs.empty()) return std::nullopt;
    return CommonDrift{.log_ratio = weighted_median(logs, weights), .kernels = kernels};
  }
};

}  // namespace

std::vector<std::string> anchors_of(const Sweep& sweep) {
  std::vector<std::string> anchors;
  const auto profile = sweep.canonical.find("profile");
  if (profile == sweep.canonical.end() || !profile->contains("anchors")) return anchors;
  for (const Json& one : profile->at("anchors")) anchors.push_back(one.get<std::string>());
  return anchors;
}

bool is_anchor(const std::vector<std::string>& anchors, const std::string& short_name) {
  return std::any_of(anchors.begin(), anchors.end(), [&](const std::string& pattern) {
    if (!pattern.ends_with('*')) return pattern == short_name;
    return short_name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
  });
}

std::optional<CommonDrift> drift_of(const std::vector<KernelComparison>& rows) {
  Ratios ratios;
  for (const KernelComparison& row : rows) {
    if (row.anchor && row.test)
      ratios.add(row.test->summary.mean, row.candidate->total_ms, row.short_name);
  }
  return ratios.drift();
}

std::vector<LegPairDrift> drift_between_legs(const std::vector<LegKernels>& legs) {
  std::vector<LegPairDrift> pairs;
  if (legs.empty()) return pairs;
  std::map<std::string, const KernelComparison*> first;
  for (const KernelComparison& row : legs[0].rows) first[row.key] = &row;
  for (std::size_t i = 1; i < legs.size(); ++i) {
    Ratios ratios;
    for (const KernelComparison& row : legs[i].rows) {
      const auto found = first.find(row.key);
      if (!row.anchor || !row.candidate || found == first.end() || !found->second->candidate)
        continue;
      const KernelSide &here = *row.candidate, &there = *found->second->candidate;
      if (here.mean_us <= 0 || there.mean_us <= 0) continue;
      ratios.add(std::log(here.mean_us / there.mean_us), here.total_ms, row.short_name);
    }
    if (const auto drift = ratios.drift()) pairs.push_back({legs[i].leg, legs[0].leg, *drift});
  }
  return pairs;
}

bool is_alarming(const CommonDrift& drift) {
  return std::abs(std::expm1(drift.log_ratio)) > kAlarm;
}

}  // namespace nvllm::bench
