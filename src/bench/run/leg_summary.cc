#include "bench/run/leg_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace nvllm::bench {

namespace {

/// Token hashes of a leg's first round, by question.
std::map<std::int64_t, std::string> hashes_of(const LegEvidence& leg) {
  std::map<std::int64_t, std::string> hashes;
  for (const QuestionResult& one : leg.questions) {
    if (one.round == leg.questions.front().round) hashes[one.prompt_index] = one.token_ids_sha256;
  }
  return hashes;
}

/// "50/50", or why it cannot be said.
std::string identical(const LegEvidence& leg, const LegEvidence* other) {
  if (other == nullptr || other->questions.empty() || leg.questions.empty()) return "-";
  const auto mine = hashes_of(leg), theirs = hashes_of(*other);
  std::int64_t same = 0;
  for (const auto& [question, hash] : mine) {
    if (hash.empty()) return "not told";
    const auto found = theirs.find(question);
    same += found != theirs.end() && found->second == hash;
  }
  return fmt::format("{}/{}", same, mine.size());
}

std::string right_of(const LegEvidence& leg) {
  if (leg.questions.empty()) return "-";
  std::int64_t right = 0, total = 0;
  for (const QuestionResult& one : leg.questions) {
    if (one.round != leg.questions.front().round) continue;
    ++total;
    right += one.correct;
  }
  return fmt::format("{}/{}", right, total);
}

/// Calls per decode step; a boot in which they differ from the plan fails, so one figure stands for
/// all.
std::string calls_of(const LegEvidence& leg, const std::string& kernel) {
  if (!leg.profile_metadata.is_object()) return "-";
  const Json& calls = leg.profile_metadata.at("calls_per_decode_step");
  return calls.contains(kernel) ? fmt::format("{}", calls.at(kernel).get<std::int64_t>()) : "-";
}

/// Mean over the boots of a leg's `budget` figure.
std::string budget_of(const LegEvidence& leg, const char* figure) {
  if (!leg.profile_metadata.is_object()) return "-";
  double sum = 0;
  std::int64_t count = 0;
  for (const Json& boot : leg.profile_metadata.at("boots")) {
    if (!boot.contains("budget") || !boot.at("budget").contains(figure)) continue;
    sum += boot.at("budget").at(figure).get<double>();
    ++count;
  }
  return count == 0 ? "-" : fmt::format("{:.3f}", sum / static_cast<double>(count));
}

}  // namespace

std::string leg_summary(const Sweep& sweep, const Derivation& derived) {
  const EvidenceFolder& folder = derived.candidate;
  std::string text =
      fmt::format("{:<12}{:>14}{:>20}{:>20}{:>13}{:>13}{:>8}{:>18}{:>10}\n", "calls a step",
                  "DecodeKernel", "PhaseE_Beta_Kernel", "Phase_D_MLP_Kernel", "kernels ms",
                  "wall ms", "right", "tokens as " + sweep.legs.front().name, "baseline");
  const LegEvidence* first = find_leg(folder, sweep.legs.front().name);
  for (const SweepLeg& leg : sweep.legs) {
    const LegEvidence* found = find_leg(folder, leg.name);
    if (found == nullptr) continue;
    const LegEvidence* before = derived.baseline ? find_leg(*derived.baseline, leg.name) : nullptr;
    text += fmt::format("{:<12}{:>14}{:>20}{:>20}{:>13}{:>13}{:>8}{:>18}{:>10}\n", leg.name,
                        calls_of(*found, "DecodeKernel"), calls_of(*found, "PhaseE_Beta_Kernel"),
                        calls_of(*found, "Phase_D_MLP_Kernel"),
                        budget_of(*found, "kernels_ms_per_step"),
                        budget_of(*found, "wall_ms_per_token"), right_of(*found),
                        identical(*found, first), identical(*found, before));
  }
  text += derived.baseline_note + "\n";
  const Json& comparability = derived.analysis.at("comparability");
  if (comparability.at("same_host") == "no") {
    text += "timing: other host; calls, answers and token hashes are compared, times are not\n";
  }
  return text;
}

}  // namespace nvllm::bench
