#include "bench/records/evidence.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace nvllm::bench {

namespace {

/// A leg or a phase becomes a folder name: no separators, no dots that climb.
bool is_plain(std::string_view word) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+";
  return !word.empty() && word.front() != '.' && word.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

std::string unit_name(const Unit& unit) {
  if (!is_plain(unit.leg) || !is_plain(unit.phase) || unit.round < 1) {
    throw Error(ErrorKind::kUsage,
                fmt::format("unit of leg '{}', phase '{}', round {}: a leg and a phase are made of letters, digits "
                            "and _-.+, and rounds count from 1",
                            unit.leg, unit.phase, unit.round));
  }
  return fmt::format("{}/rounds/{:02}/{}", unit.leg, unit.round, unit.phase);
}

Unit parse_unit_name(std::string_view name) {
  constexpr std::string_view kRounds = "/rounds/";
  const std::size_t middle = name.find(kRounds), last = name.rfind('/');
  if (middle != std::string_view::npos && last >= middle + kRounds.size()) {
    const std::string_view number = name.substr(middle + kRounds.size(), last - middle - kRounds.size());
    Unit unit{std::string(name.substr(0, middle)), std::string(name.substr(last + 1)), 0};
    const auto [end, fault] = std::from_chars(number.data(), number.data() + number.size(), unit.round);
    if (fault == std::errc() && end == number.data() + number.size() && unit.round >= 1 && is_plain(unit.leg) &&
        is_plain(unit.phase) && unit_name(unit) == name) {
      return unit;
    }
  }
  throw Error(ErrorKind::kBadFile, fmt::format("'{}' is not the name of a unit; wanted LEG/rounds/NN/PHASE", name));
}

const LegEvidence* find_leg(const EvidenceFolder& folder, std::string_view leg) {
  const auto found = std::find_if(folder.legs.begin(), folder.legs.end(),
                                  [leg](const LegEvidence& evidence) { return evidence.leg == leg; });
  return found == folder.legs.end() ? nullptr : &*found;
}

bool was_restarted(const LegEvidence& leg) {
  for (const Json* metadata : {&leg.profile_metadata, &leg.eval_metadata}) {
    if (!metadata->is_object() || !metadata->contains("engine")) continue;
    if (!metadata->at("engine").value("restarted", true)) return false;
  }
  return true;
}

}  // namespace nvllm::bench
