#include "bench/analysis/deviations.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace nvllm::bench {

namespace {

const Json* field_of(const Json& metadata, const std::string& field) {
  if (!metadata.is_object()) return nullptr;
  const auto found = metadata.find(field);
  return found == metadata.end() ? nullptr : &*found;
}

/// Settings in which a leg was timed and scored differently.
void timed_and_scored(const Sweep& sweep, const LegEvidence& leg, std::vector<std::string>& out) {
  for (const std::string& field : sweep.must_match) {
    const Json *timed = field_of(leg.profile_metadata, field), *scored = field_of(leg.eval_metadata, field);
    if (timed == nullptr || scored == nullptr || *timed == *scored) continue;
    out.push_back(fmt::format("{}: timed with {} {}, scored with {}: the build scored is not the one timed", leg.leg,
                              field, dump_json(*timed), dump_json(*scored)));
  }
}

void unequal_legs(const EvidenceFolder& folder, std::vector<std::string>& out) {
  std::set<std::int64_t> requests;
  std::string text;
  for (const LegEvidence& leg : folder.legs) {
    if (leg.profiles.empty() || leg.profiles[0].requests <= 0) continue;
    requests.insert(leg.profiles[0].requests);
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", leg.leg, leg.profiles[0].requests);
  }
  if (requests.size() > 1) out.push_back(fmt::format("legs were profiled over unequal bursts, in requests: {}", text));
}

void few_boots(const EvidenceFolder& folder, std::vector<std::string>& out) {
  const auto once = std::count_if(folder.legs.begin(), folder.legs.end(),
                                  [](const LegEvidence& leg) { return leg.profiles.size() == 1; });
  if (once == 0) return;
  out.push_back(fmt::format(
      "{} of {} legs were profiled in one boot: nothing in the folder tells a leg from its boot, day or place in "
      "the order",
      once, folder.legs.size()));
}

void thin_provenance(const EvidenceFolder& folder, std::vector<std::string>& out) {
  std::set<std::string> commits;
  for (const LegEvidence& leg : folder.legs) {
    for (const Json* metadata : {&leg.profile_metadata, &leg.eval_metadata}) {
      const Json* commit = field_of(*metadata, "git_commit");
      if (commit != nullptr && commit->is_string() && commit->get<std::string>().size() < 40)
        commits.insert(commit->get<std::string>());
    }
  }
  for (const std::string& commit : commits) {
    out.push_back(fmt::format("commit {} is abbreviated, and nothing says whether the tree was clean", commit));
  }
  if (!folder.provenance.contains("gpu")) out.push_back("neither the graphics processor nor its driver is recorded");
}

/// What the units themselves noted: rules that replaced a missing feature.
void noted_by_units(const LegEvidence& leg, std::vector<std::string>& out) {
  for (const auto& [phase, metadata] :
       {std::pair("profile", &leg.profile_metadata), std::pair("gsm8k", &leg.eval_metadata)}) {
    const Json* noted = field_of(*metadata, "deviations");
    if (noted == nullptr) continue;
    for (const Json& one : *noted) {
      out.push_back(fmt::format("{}/{}: {} ({})", leg.leg, phase, one.value("rule", ""), one.value("reason", "")));
    }
  }
}

}  // namespace

std::vector<std::string> find_deviations(const Sweep& sweep, const EvidenceFolder& folder) {
  std::vector<std::string> found;
  for (const LegEvidence& leg : folder.legs) {
    timed_and_scored(sweep, leg, found);
    noted_by_units(leg, found);
  }
  unequal_legs(folder, found);
  few_boots(folder, found);
  thin_provenance(folder, found);
  return found;
}

}  // namespace nvllm::bench
