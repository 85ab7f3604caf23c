#include "bench/analysis/call_laws.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/files.h"
#include "bench/analysis/anchor_drift.h"
#include "bench/store/json_field.h"
#include "bench/store/kernel_csv.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 64ll << 20;

KernelTable read_burst(const fs::path& file, const Json& metadata, const char* workload,
                       const std::string& leg) {
  KernelTable table = parse_kernels(read_file(file, kFileBytesMax), file.filename().string(), leg);
  const Json& said = metadata.at(workload);
  table.requests = int_field(said, "requests", workload);
  table.decode_steps = table.requests * (int_field(said, "max_tokens", workload) - 1);
  return table;
}

LegLaw by_kernel(const LawReport& report, const KernelTable& longer) {
  std::map<std::string, std::int64_t> calls;
  for (const KernelRow& row : longer.rows) calls[kernel_key(row)] += row.n_calls;
  LegLaw laws;
  for (const LawRow& row : report.rows) {
    KernelLaw& sum = laws[row.short_name];
    // kProven, kNotProven, kResidual: what is known of the whole is what is known of its worst row.
    sum.proof = std::max(sum.proof, row.proof);
    sum.law.a += row.law.a;
    sum.law.b += row.law.b;
    sum.calls += calls[row.key];
  }
  return laws;
}

/// Both bursts of one boot; nothing where the folder holds no second one.
std::optional<LegLaw> proven_law(const fs::path& unit, const std::string& leg) {
  const fs::path file = unit / "profile_metadata.json";
  if (!fs::exists(file) || !fs::exists(unit / "kernels_short.csv")) return std::nullopt;
  const Json metadata = parse_json(read_file(file, kFileBytesMax), "profile_metadata.json",
                                   {.depth_max = 32, .nodes_max = 1'000'000});
  if (!metadata.contains("workload") || !metadata.contains("second_workload")) return std::nullopt;
  const KernelTable longer = read_burst(unit / "kernels.csv", metadata, "workload", leg);
  const KernelTable shorter =
      read_burst(unit / "kernels_short.csv", metadata, "second_workload", leg);
  return by_kernel(solve_call_laws(longer, shorter), longer);
}

/// The laws on which all boots agree, or nothing to say where they do not.
std::optional<KernelLaw> agreed(const std::vector<LegLaw>& boots, const std::string& kernel) {
  std::optional<KernelLaw> first;
  for (const LegLaw& boot : boots) {
    const auto found = boot.find(kernel);
    const KernelLaw here = found == boot.end() ? KernelLaw{} : found->second;
    if (first && (first->law != here.law || first->proof != here.proof)) return std::nullopt;
    first = here;
  }
  return first;
}

Json law_json(const std::optional<KernelLaw>& law) {
  if (!law) return nullptr;
  constexpr const char* kWords[] = {"proven", "one burst", "none"};
  Json json;
  json["proof"] = law->calls == 0 ? "absent" : kWords[static_cast<int>(law->proof)];
  json["a"] = law->proof == LawProof::kResidual ? Json(nullptr) : Json(law->law.a);
  json["b"] = law->proof == LawProof::kResidual ? Json(nullptr) : Json(law->law.b);
  json["calls"] = law->calls;
  return json;
}

bool is_changed(const std::optional<KernelLaw>& before, const std::optional<KernelLaw>& now) {
  if (!before || !now) return before.has_value() != now.has_value();
  if (before->proof == LawProof::kResidual || now->proof == LawProof::kResidual)
    return before->calls != now->calls;
  return before->law != now->law;
}

std::optional<std::int64_t> foretold(const SweepLeg& leg, const std::string& kernel) {
  for (const auto& [pattern, calls] : leg.expect_kernels) {
    if (is_anchor({pattern}, kernel)) return calls;
  }
  return std::nullopt;
}

Json leg_json(const SweepLeg& leg, const std::vector<LegLaw>& before,
              const std::vector<LegLaw>& now) {
  std::set<std::string> kernels;
  for (const auto* side : {&before, &now}) {
    for (const LegLaw& boot : *side) {
      for (const auto& [kernel, law] : boot) kernels.insert(kernel);
    }
  }
  Json json;
  json["leg"] = leg.name;
  json["boots"] = {before.size(), now.size()};
  json["kernels"] = Json::array();
  for (const std::string& kernel : kernels) {
    const auto a = agreed(before, kernel), b = agreed(now, kernel);
    const auto wanted = foretold(leg, kernel);
    json["kernels"].push_back({{"short_name", kernel},
                               {"baseline", law_json(a)},
                               {"candidate", law_json(b)},
                               {"changed", is_changed(a, b)},
                               {"foretold", wanted ? Json(*wanted) : Json(nullptr)}});
  }
  return json;
}

}  // namespace

std::vector<LegLaw> laws_of(const EvidenceFolder& folder, const LegEvidence& leg) {
  std::vector<LegLaw> boots;
  for (const KernelTable& table : leg.profiles) {
    const fs::path unit = folder.path / leg.leg / fmt::format("rounds/{:02}/profile", table.round);
    if (auto proven = proven_law(unit, leg.leg)) {
      boots.push_back(std::move(*proven));
    } else if (table.requests > 0 && table.decode_steps > 0 &&
               table.decode_steps % table.requests == 0) {
      boots.push_back(by_kernel(guess_call_laws(table), table));
    }
  }
  return boots;
}

Json call_law_json(const Sweep& sweep, const EvidenceFolder& baseline,
                   const EvidenceFolder& candidate) {
  Json json;
  json["legs"] = Json::array();
  for (const SweepLeg& leg : sweep.legs) {
    const LegEvidence *a = find_leg(baseline, leg.name), *b = find_leg(candidate, leg.name);
    if (a == nullptr || b == nullptr) continue;
    const auto before = laws_of(baseline, *a), now = laws_of(candidate, *b);
    if (!before.empty() || !now.empty()) json["legs"].push_back(leg_json(leg, before, now));
  }
  return json;
}

}  // namespace nvllm::bench
