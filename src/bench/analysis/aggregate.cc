#include "bench/analysis/aggregate.h"

#include <numeric>
#include <string_view>

namespace nvllm::bench {

namespace {

TokenTimes times_of(const LegEvidence& leg, const std::vector<std::string>& named) {
  TokenTimes times;
  const std::vector<std::string_view> names(named.begin(), named.end());
  for (const KernelTable& table : leg.profiles) {
    if (const auto kernels = kernels_ms_per_step(table)) times.kernels.push_back(*kernels);
    if (const auto sum = named_ms_per_step(table, names); sum && !names.empty()) times.named.push_back(*sum);
  }
  times.wall = wall_ms_per_token(leg.questions);
  times.restarted = was_restarted(leg);
  const Json& metadata = leg.profile_metadata;
  if (!metadata.is_object() || !metadata.contains("boots")) return times;
  for (const Json& boot : metadata.at("boots")) {
    const Json budget = boot.value("budget", Json::object());
    if (budget.contains("wall_ms_per_token")) times.wall_boots.push_back(budget.at("wall_ms_per_token").get<double>());
    if (budget.contains("host_ms_per_step")) times.host.push_back(budget.at("host_ms_per_step").get<double>());
  }
  return times;
}

Json times_json(const TokenTimes& times) {
  const auto one = [](const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); };
  Json json;
  json["named_ms"] = one(mean_of(times.named));
  json["kernels_ms"] = one(mean_of(times.kernels));
  if (!times.host.empty()) json["host_ms"] = one(mean_of(times.host));
  json["wall_ms"] = one(wall_ms(times));
  if (!times.wall_boots.empty()) json["wall_boots"] = times.wall_boots.size();
  json["wall_answers"] = times.wall ? times.wall->answers : 0;
  json["coverage"] = one(coverage(times));
  json["rounds"] = times.kernels.size();
  json["boots_ms"] = times.kernels;
  return json;
}

}  // namespace

std::vector<LegAggregate> aggregate(const Sweep& sweep, const EvidenceFolder& baseline,
                                    const EvidenceFolder& candidate) {
  std::vector<LegAggregate> legs;
  for (const SweepLeg& leg : sweep.legs) {
    LegAggregate one;
    one.leg = leg.name;
    for (const auto& [kernel, calls] : leg.expect_kernels) {
      if (calls > 0) one.named_kernels.push_back(kernel);
    }
    if (const LegEvidence* found = find_leg(baseline, leg.name)) one.baseline = times_of(*found, one.named_kernels);
    if (const LegEvidence* found = find_leg(candidate, leg.name)) one.candidate = times_of(*found, one.named_kernels);
    legs.push_back(std::move(one));
  }
  return legs;
}

std::vector<double> values_of(const TokenTimes& times, const std::string& metric) {
  if (metric == "named") return times.named;
  if (metric == "kernels") return times.kernels;
  if (!times.wall_boots.empty()) return times.wall_boots;
  return times.wall ? std::vector<double>{times.wall->ms_per_token} : std::vector<double>{};
}

std::optional<double> mean_of(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::optional<double> wall_ms(const TokenTimes& times) {
  if (!times.wall_boots.empty()) return mean_of(times.wall_boots);
  return times.wall ? std::optional(times.wall->ms_per_token) : std::nullopt;
}

std::optional<double> coverage(const TokenTimes& times) {
  const auto kernels = mean_of(times.kernels), wall = wall_ms(times);
  if (!kernels || !wall || *wall <= 0) return std::nullopt;
  return (*kernels + mean_of(times.host).value_or(0)) / *wall;
}

Json to_json(const std::vector<LegAggregate>& legs) {
  Json json;
  json["legs"] = Json::array();
  for (const LegAggregate& leg : legs) {
    json["legs"].push_back({{"leg", leg.leg},
                            {"named_kernels", leg.named_kernels},
                            {"baseline", times_json(leg.baseline)},
                            {"candidate", times_json(leg.candidate)}});
  }
  return json;
}

}  // namespace nvllm::bench
