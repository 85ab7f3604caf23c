#include "bench/run/derive.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "bench/analysis/comparison.h"
#include "bench/analysis/open_folder.h"
#include "bench/report/notes.h"
#include "bench/report/report.h"
#include "bench/run/pooled.h"
#include "bench/store/canonical_json.h"
#include "bench/store/git_ignore.h"
#include "bench/store/json_field.h"
#include "bench/store/manifest.h"
#include "bench/store/seal.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 64ll << 20;
constexpr const char* kLockName = "sweep.lock.json";
constexpr const char* kNoBaseline = "no baseline (the folder itself)";
constexpr const char* kManifestFollows = "that of MANIFEST.sha256, written after this report";

Json lock_of(const fs::path& folder) {
  return parse_json(read_file(folder / kLockName, kFileBytesMax), kLockName,
                    {.depth_max = 32, .nodes_max = 1'000'000});
}

/// The folder as an evidence folder whose metadata are those derived from its units, whatever lies
/// there.
EvidenceFolder open_with(const fs::path& folder, const std::map<std::string, std::string>& files) {
  EvidenceFolder evidence = open_evidence(folder);
  for (LegEvidence& leg : evidence.legs) {
    const auto derived = [&](const char* name) {
      const auto found = files.find(fmt::format("{}/{}", leg.leg, name));
      return found == files.end()
                 ? Json()
                 : parse_json(found->second, name, {.depth_max = 32, .nodes_max = 1'000'000});
    };
    leg.profile_metadata = derived("profile_metadata.json");
    leg.eval_metadata = derived("gsm8k_metadata.json");
  }
  return evidence;
}

/// A gate that says something about a change cannot be answered without a baseline.
bool needs_baseline(const Gate& gate) {
  return (gate.kind == GateKind::kEquivalent && gate.vs_leg.empty()) ||
         gate.kind == GateKind::kNoninferior || gate.kind == GateKind::kCountWithin;
}

/// The rules that can be answered without a baseline; what was left out is noted.
Sweep without_baseline(Sweep sweep, std::vector<std::string>& notes) {
  std::vector<std::string> hypotheses, gates;
  for (const SweepHypothesis& one : sweep.hypotheses) hypotheses.push_back(one.name);
  std::erase_if(sweep.gates, [&](const Gate& gate) {
    if (needs_baseline(gate))
      notes.push_back(fmt::format("gate {} needs a baseline and was left out", gate.name));
    return needs_baseline(gate);
  });
  for (const Gate& gate : sweep.gates) gates.push_back(gate.name);
  std::erase_if(sweep.verdict, [&](const VerdictRule& rule) {
    try {
      check_verdict_rules({rule}, hypotheses, gates);
      return false;
    } catch (const Error&) {
      notes.push_back(
          fmt::format("verdict rule {} asks for such a gate and was left out", rule.id));
      return true;
    }
  });
  return sweep;
}

/// Files of a sealed folder that any clone has, and the raw ones by their seals: a list that does
/// not depend on what was derived, or on which raw files are still there.
Json measured_files(const Json& listed, const fs::path& folder,
                    const std::vector<std::string>& legs) {
  Json files = Json::array();
  for (const Json& file : listed) {
    const std::string name = file.at("name").get<std::string>();
    const bool of_unit = std::any_of(legs.begin(), legs.end(), [&](const std::string& leg) {
      return name.starts_with(leg + "/rounds/") || name.starts_with(leg + "/attempts/");
    });
    if (of_unit && !is_git_ignored(name)) files.push_back(file);
  }
  for (const std::string& leg : legs) {
    for (const auto& entry : fs::recursive_directory_iterator(folder / leg / "rounds")) {
      if (entry.path().filename() != kSealName) continue;
      const fs::path unit = entry.path().parent_path();
      for (const SealedFile& raw : read_seal(unit).files) {
        if (raw.in_git) continue;
        files.push_back(Json{{"name", (fs::relative(unit, folder) / raw.name).generic_string()},
                             {"bytes", raw.bytes},
                             {"sha256", raw.sha256}});
      }
    }
  }
  std::sort(files.begin(), files.end(),
            [](const Json& a, const Json& b) { return a.at("name") < b.at("name"); });
  return files;
}

Json without_raw_files(const Json& listed) {
  Json files = Json::array();
  for (const Json& file : listed) {
    if (!is_git_ignored(file.at("name").get<std::string>())) files.push_back(file);
  }
  return files;
}

/// Replaces what depends on the moment of reading by what any reader finds.
void settle(Comparison& comparison, const Derivation& out, const Json& lock,
            const std::vector<std::string>& notes) {
  Json& whole = comparison.analysis["comparability"];
  std::vector<std::string> legs;
  for (const LegEvidence& leg : out.candidate.legs) legs.push_back(leg.leg);
  Json& candidate = whole["candidate"];
  candidate["name"] = text_field(lock, "folder", kLockName);
  candidate["identity"] = kManifestFollows;
  candidate["files"] = measured_files(candidate["files"], out.candidate.path, legs);
  Json& baseline = whole["baseline"];
  if (out.baseline) {
    baseline["files"] = without_raw_files(baseline["files"]);
  } else {
    baseline["name"] = kNoBaseline;
    baseline["identity"] = nullptr;
    baseline["files"] = Json::array();
    for (const std::string& note : notes) baseline["notes"].push_back(note);
  }
  comparison.files["analysis/comparability.json"] = readable_json(whole);
}

/// 0, 1, 3 or 4. On another host the gates about times are undecided by nature; they do not count.
int exit_of(const Comparison& comparison, bool has_baseline) {
  if (comparison.exit == ComparisonExit::kNotComparable ||
      comparison.exit == ComparisonExit::kGateFailed) {
    return static_cast<int>(comparison.exit);
  }
  const bool other_host = comparison.analysis.at("comparability").at("same_host") == "no";
  bool open = false;
  for (const Json& gate : comparison.analysis.at("gates").at("gates")) {
    if (!gate.at("required").get<bool>() || gate.at("truth") != "unknown") continue;
    open |= !gate.value("because", "").starts_with("timing: other host");
  }
  if (open) return static_cast<int>(ComparisonExit::kInconclusive);
  return has_baseline && !other_host ? static_cast<int>(comparison.exit) : 0;
}

}  // namespace

Json baseline_record(const BaselinePlace& place) {
  Json json;
  json["note"] = place.note;
  if (place.folder.empty()) return json;
  json["path"] = place.folder.generic_string();
  json["identity"] =
      has_manifest(place.folder) ? folder_identity(place.folder) : folder_state(place.folder);
  return json;
}

std::optional<BaselinePlace> recorded_baseline(const Json& record) {
  BaselinePlace place{record.value("path", ""), record.value("note", "")};
  if (place.folder.empty()) return place;
  if (!fs::is_directory(place.folder)) return std::nullopt;
  if (baseline_record(place).at("identity") != record.at("identity")) return std::nullopt;
  return place;
}

BaselinePlace find_baseline(const Sweep& sweep, const fs::path& candidate) {
  if (sweep.baseline.empty())
    return {{}, "baseline: none named in the sweep file; nothing is said about change"};
  const fs::path folder = sweep.baseline;
  if (!fs::is_directory(folder)) {
    return {{},
            fmt::format("baseline: {} is not there; nothing is said about change", sweep.baseline)};
  }
  std::error_code ignored;
  if (fs::equivalent(folder, candidate, ignored)) {
    return {{},
            fmt::format("baseline: {} is this folder itself; nothing is said about change",
                        sweep.baseline)};
  }
  return {folder, fmt::format("baseline: {}", sweep.baseline)};
}

Sweep sweep_of_folder(const fs::path& folder) {
  Sweep sweep = read_sweep(folder / "sweep.toml");
  const Json lock = lock_of(folder);
  for (SweepLeg& leg : sweep.legs) {
    leg.expect_kernels.clear();
    if (!lock.contains("expect_kernels") || !lock.at("expect_kernels").contains(leg.name)) continue;
    for (const auto& [kernel, calls] : lock.at("expect_kernels").at(leg.name).items()) {
      leg.expect_kernels.emplace_back(kernel, calls.get<std::int64_t>());
    }
  }
  return sweep;
}

Derivation derive(const fs::path& folder, const BaselinePlace& baseline) {
  const Sweep sweep = sweep_of_folder(folder);
  const Json lock = lock_of(folder);
  Derivation out;
  out.baseline_note = baseline.note;
  for (const SweepLeg& leg : sweep.legs) {
    for (auto& [name, text] : pooled_leg_files(folder / leg.name)) {
      out.files[fmt::format("{}/{}", leg.name, name)] = std::move(text);
    }
  }
  out.candidate = open_with(folder, out.files);
  std::vector<std::string> notes;
  Sweep rules = sweep;
  if (baseline.folder.empty()) {
    notes.push_back(baseline.note +
                    ": the folder stands beside itself, so every change below is zero by nature");
    rules = without_baseline(std::move(rules), notes);
  } else {
    out.baseline = open_evidence(baseline.folder);
  }
  Comparison comparison = compare_folders(rules, out.baseline ? *out.baseline : out.candidate,
                                          out.candidate, text_field(lock, "tool", kLockName));
  settle(comparison, out, lock, notes);
  out.exit = exit_of(comparison, out.baseline.has_value());
  for (auto& [name, text] : comparison.files) out.files[name] = std::move(text);
  if (const auto written = read_notes(folder)) add_notes(comparison.analysis, *written);
  for (auto& [name, text] : render_reports(comparison.analysis)) out.files[name] = std::move(text);
  out.analysis = std::move(comparison.analysis);
  return out;
}

}  // namespace nvllm::bench
