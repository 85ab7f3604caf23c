#include "bench/run/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "bench/stats/williams.h"
#include "bench/store/canonical_json.h"

namespace nvllm::bench {

namespace {

std::vector<RoundOrder> orders_of(const Sweep& sweep, const RunSettings& settings,
                                  std::int64_t rounds) {
  const auto legs = static_cast<std::int64_t>(sweep.legs.size());
  if (settings.balanced) return round_orders(legs, rounds);
  RoundOrder plain;
  for (std::int64_t i = 0; i < legs; ++i) plain.push_back(i);
  return std::vector<RoundOrder>(static_cast<std::size_t>(rounds), plain);
}

}  // namespace

std::vector<Unit> schedule_units(const Sweep& sweep, const RunSettings& settings) {
  const std::int64_t rounds = std::max(settings.profile_rounds, settings.gsm8k_rounds);
  std::vector<Unit> units;
  std::int64_t round = 0;
  for (const RoundOrder& order : orders_of(sweep, settings, rounds)) {
    ++round;
    for (const std::int64_t leg : order) {
      const std::string& name = sweep.legs[static_cast<std::size_t>(leg)].name;
      if (round <= settings.profile_rounds) units.push_back({name, "profile", round});
      if (round <= settings.gsm8k_rounds) units.push_back({name, "gsm8k", round});
    }
  }
  return units;
}

std::string unit_hash(const Sweep& sweep, const Unit& unit, const Json& identity) {
  const auto leg = std::find_if(sweep.legs.begin(), sweep.legs.end(),
                                [&](const SweepLeg& one) { return one.name == unit.leg; });
  Json json;
  json["unit"] = unit_name(unit);
  json["command"] = leg->command;
  json["url"] = leg->url;
  json["arguments"] = leg->arguments;
  json["env"] = leg->env;
  json["identity"] = identity;
  json["server"] = Json::object();
  if (const auto server = sweep.canonical.find("server"); server != sweep.canonical.end()) {
    // How long is waited for it decides no result.
    for (const char* key : {"kind", "command", "url"})
      json["server"][key] = server->value(key, Json());
  }
  for (const char* key : {"kind", "command", "url"}) json["server"].emplace(key, nullptr);
  if (leg->repeats_may_differ) json["repeats_may_differ"] = true;
  // Questions are warmed up as bursts are.
  for (const char* section : {"profile", unit.phase.c_str()}) {
    json[section] = sweep.canonical.contains(section) ? sweep.canonical.at(section) : Json();
  }
  return canonical_hash(json);
}

bool selected(std::string_view only, const Unit& unit) {
  if (only.empty()) return true;
  std::vector<std::string> parts(1);
  for (const char c : only) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  std::int64_t round = unit.round;
  if (parts.size() == 3 && parts[2] != "*") {
    const std::string& number = parts[2];
    const auto [end, fault] = std::from_chars(number.data(), number.data() + number.size(), round);
    if (fault != std::errc() || end != number.data() + number.size()) parts.clear();
  }
  if (parts.empty() || parts.size() > 3 || std::count(parts.begin(), parts.end(), "") > 0) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--only {}: wanted LEG, LEG/PHASE or LEG/PHASE/ROUND, '*' for any of them",
                    only));
  }
  const auto fits = [&](std::size_t i, const std::string& value) {
    return parts.size() <= i || parts[i] == "*" || parts[i] == value;
  };
  return fits(0, unit.leg) && fits(1, unit.phase) && round == unit.round;
}

}  // namespace nvllm::bench
