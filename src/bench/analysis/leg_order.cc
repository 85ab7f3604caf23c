#include "bench/analysis/leg_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace nvllm::bench {

namespace {

const LegAggregate* find(const std::vector<LegAggregate>& legs, const std::string& name) {
  const auto found = std::find_if(legs.begin(), legs.end(), [&](const LegAggregate& leg) { return leg.leg == name; });
  return found == legs.end() ? nullptr : &*found;
}

FolderOrder order_in(const Gate& gate, const Sweep& sweep, const std::vector<LegAggregate>& legs,
                     TokenTimes LegAggregate::*side) {
  FolderOrder order;
  std::vector<std::vector<double>> logs;
  std::size_t rounds = SIZE_MAX;
  for (const std::string& name : gate.order) {
    const LegAggregate* leg = find(legs, name);
    const std::vector<double> values = leg == nullptr ? std::vector<double>{} : values_of(leg->*side, gate.metric);
    if (values.empty()) {
      order.untested_because = fmt::format("{} has no ms_per_token.{}", name, gate.metric);
      return order;
    }
    order.values.push_back(*mean_of(values));
    std::vector<double>& log_values = logs.emplace_back();
    for (const double value : values) log_values.push_back(std::log(value));
    rounds = std::min(rounds, values.size());
  }
  for (auto& leg : logs) leg.resize(rounds);
  if (rounds < 2 && !sweep.noise) {
    order.untested_because = "one round, and the sweep file lends no noise";
    return order;
  }
  std::vector<OrderStep> steps;
  for (const bool tied : gate.tied) {
    steps.push_back({.relation = tied ? Relation::kTied : Relation::kLess, .margin = gate.margin});
  }
  OrderOptions options;
  if (rounds < 2) options.borrowed_boot_sigma = sweep.noise->boot_sigma;
  order.test = test_order(logs, steps, options);
  if (rounds >= 2) order.joint_probability = joint_order_probability(logs);
  return order;
}

Json folder_json(const FolderOrder& order) {
  Json json;
  json["ms_per_token"] = order.values;
  json["p"] = order.test ? Json(order.test->p) : Json(nullptr);
  json["gaps"] = Json::array();
  if (order.test) {
    for (const OrderGap& gap : order.test->gaps) {
      json["gaps"].push_back({{"ratio", std::exp(gap.summary.mean)},
                              {"ci90", {std::exp(gap.interval.low), std::exp(gap.interval.high)}},
                              {"p", gap.p}});
    }
  }
  json["joint_probability"] = order.joint_probability ? Json(*order.joint_probability) : Json(nullptr);
  if (!order.untested_because.empty()) json["untested_because"] = order.untested_because;
  return json;
}

}  // namespace

LegOrder test_leg_order(const Gate& gate, const Sweep& sweep, const std::vector<LegAggregate>& legs) {
  LegOrder order;
  order.gate = &gate;
  order.baseline = order_in(gate, sweep, legs, &LegAggregate::baseline);
  order.candidate = order_in(gate, sweep, legs, &LegAggregate::candidate);
  for (const FolderOrder* side : {&order.baseline, &order.candidate}) {
    if (!side->test) continue;
    for (const OrderGap& gap : side->test->gaps) order.borrowed |= gap.summary.noise == NoiseSource::kBorrowed;
  }
  return order;
}

Json to_json(const LegOrder& order) {
  Json json;
  json["gate"] = order.gate->name;
  json["metric"] = fmt::format("ms_per_token.{}", order.gate->metric);
  json["expect"] = order.gate->expect;
  json["legs"] = order.gate->order;
  json["se_source"] = order.borrowed ? "borrowed" : "rounds";
  json["baseline"] = folder_json(order.baseline);
  json["candidate"] = folder_json(order.candidate);
  return json;
}

}  // namespace nvllm::bench
