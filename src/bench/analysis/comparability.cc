#include "bench/analysis/comparability.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace nvllm::bench {

namespace {

/// Fields that tell one run from another and never block.
constexpr const char* kMayDiffer[] = {"git_commit", "image_id", "image", "binary", "driver", "timestamp_iso"};

std::string value_text(const Json* value) { return value == nullptr ? "absent" : dump_json(*value); }

const Json* find_field(const Json& object, const std::string& key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

/// Differences below one field; objects are compared member by member, so that the message names
/// the setting and not the whole table.
void compare_field(const std::string& path, const Json* a, const Json* b, std::vector<FieldDifference>& out) {
  if (a == nullptr && b == nullptr) return;
  if (a != nullptr && b != nullptr && *a == *b) return;
  if (a == nullptr || b == nullptr || !a->is_object() || !b->is_object()) {
    out.push_back({.field = path, .baseline = value_text(a), .candidate = value_text(b)});
    return;
  }
  std::map<std::string, int> keys;
  for (const Json* side : {a, b}) {
    for (const auto& [key, value] : side->items()) keys[key] = 0;
  }
  for (const auto& [key, unused] : keys) compare_field(path + "." + key, find_field(*a, key), find_field(*b, key), out);
}

std::string workload_text(const KernelTable& table) {
  if (table.requests <= 0) return "unknown";
  return fmt::format("{} requests of {} decode steps", table.requests, table.decode_steps / table.requests);
}

void compare_profiles(const LegEvidence& a, const LegEvidence& b, Comparability& result) {
  const std::string path = a.leg + "/profile/workload";
  if (a.profiles.empty() != b.profiles.empty()) {
    result.blocking.push_back({.field = a.leg + "/profile",
                               .baseline = a.profiles.empty() ? "absent" : "present",
                               .candidate = b.profiles.empty() ? "absent" : "present"});
    return;
  }
  if (a.profiles.empty()) return;
  const KernelTable &left = a.profiles.front(), &right = b.profiles.front();
  if (left.requests <= 0 || right.requests <= 0) return;
  // Other numbers of requests are the same work per request; other lengths are not.
  if (left.decode_steps / left.requests != right.decode_steps / right.requests) {
    result.blocking.push_back({.field = path, .baseline = workload_text(left), .candidate = workload_text(right)});
  }
}

std::string question_text(const QuestionResult& q) {
  return fmt::format("gold {}, {}", q.gold, q.question_sha256.empty() ? q.question.substr(0, 60) : q.question_sha256);
}

/// The limit of an answer; 0 where no question names one.
double deadline_of(const LegEvidence& leg) {
  double deadline = 0;
  for (const QuestionResult& q : leg.questions) deadline = std::max(deadline, q.deadline_s);
  return deadline;
}

void compare_questions(const LegEvidence& a, const LegEvidence& b, Comparability& result) {
  const std::string path = a.leg + "/gsm8k/";
  std::map<std::int64_t, const QuestionResult*> by_index;
  std::int64_t left = 0, right = 0;
  for (const QuestionResult& q : a.questions) {
    if (q.round == a.questions.front().round && ++left > 0) by_index[q.prompt_index] = &q;
  }
  for (const QuestionResult& q : b.questions) right += q.round == b.questions.front().round;
  if (left != right) {
    result.blocking.push_back(
        {.field = path + "n", .baseline = fmt::format("{}", left), .candidate = fmt::format("{}", right)});
    return;
  }
  if (const double before = deadline_of(a), after = deadline_of(b); before > 0 && after > 0 && before != after) {
    result.blocking.push_back({.field = path + "deadline_s",
                               .baseline = fmt::format("{:g}", before),
                               .candidate = fmt::format("{:g}", after)});
    return;
  }
  for (const QuestionResult& q : b.questions) {
    const auto found = by_index.find(q.prompt_index);
    if (found != by_index.end() && question_text(*found->second) == question_text(q)) continue;
    result.blocking.push_back({.field = fmt::format("{}question {}", path, q.prompt_index),
                               .baseline = found == by_index.end() ? "absent" : question_text(*found->second),
                               .candidate = question_text(q)});
    return;
  }
}

void compare_leg(const Sweep& sweep, const LegEvidence& a, const LegEvidence& b, Comparability& result) {
  const std::tuple<const char*, const Json*, const Json*> phases[] = {
      {"profile", &a.profile_metadata, &b.profile_metadata}, {"gsm8k", &a.eval_metadata, &b.eval_metadata}};
  for (const auto& [phase, left, right] : phases) {
    for (const std::string& field : sweep.must_match) {
      compare_field(fmt::format("{}/{}/{}", a.leg, phase, field), find_field(*left, field), find_field(*right, field),
                    result.blocking);
    }
    for (const char* field : kMayDiffer) {
      compare_field(fmt::format("{}/{}/{}", a.leg, phase, field), find_field(*left, field), find_field(*right, field),
                    result.changed);
    }
  }
  compare_profiles(a, b, result);
  compare_questions(a, b, result);
}

/// Legs that the sweep does not speak of: left out, and said so.
void list_other_legs(const Sweep& sweep, const EvidenceFolder& a, const EvidenceFolder& b, Comparability& result) {
  std::set<std::string> others;
  for (const EvidenceFolder* side : {&a, &b}) {
    for (const LegEvidence& leg : side->legs) others.insert(leg.leg);
  }
  for (const SweepLeg& leg : sweep.legs) others.erase(leg.name);
  for (const std::string& leg : others) {
    result.changed.push_back({.field = fmt::format("legs/{} (not in the sweep)", leg),
                              .baseline = find_leg(a, leg) == nullptr ? "absent" : "present",
                              .candidate = find_leg(b, leg) == nullptr ? "absent" : "present"});
  }
}

/// By the graphics processor's name and the host's hashed id, where both folders have them.
void compare_hosts(const EvidenceFolder& a, const EvidenceFolder& b, Comparability& result) {
  std::int64_t known = 0;
  for (const char* field : {"gpu", "cpu", "host"}) {
    const Json *left = find_field(a.provenance, field), *right = find_field(b.provenance, field);
    if (left == nullptr || right == nullptr) continue;
    // Driver and clocks may change on one host; the card itself may not.
    const Json *left_name = find_field(*left, "name"), *right_name = find_field(*right, "name");
    if (left_name != nullptr && right_name != nullptr) std::tie(left, right) = std::pair(left_name, right_name);
    ++known;
    if (*left == *right) continue;
    result.same_host = SameHost::kNo;
    result.host_note =
        fmt::format("{}: {} in the baseline, {} in the candidate", field, dump_json(*left), dump_json(*right));
    return;
  }
  result.same_host = known > 0 ? SameHost::kYes : SameHost::kUnknown;
  if (known == 0) result.host_note = "neither folder names its host; times are compared as if it were the same";
}

Json to_json(const std::vector<FieldDifference>& list) {
  Json json = Json::array();
  for (const FieldDifference& one : list) {
    json.push_back({{"field", one.field}, {"baseline", one.baseline}, {"candidate", one.candidate}});
  }
  return json;
}

}  // namespace

Comparability check_comparability(const Sweep& sweep, const EvidenceFolder& baseline, const EvidenceFolder& candidate) {
  Comparability result;
  for (const SweepLeg& leg : sweep.legs) {
    const LegEvidence *a = find_leg(baseline, leg.name), *b = find_leg(candidate, leg.name);
    if (a != nullptr && b != nullptr) {
      compare_leg(sweep, *a, *b, result);
      continue;
    }
    result.blocking.push_back({.field = fmt::format("legs/{}", leg.name),
                               .baseline = a == nullptr ? "absent" : "present",
                               .candidate = b == nullptr ? "absent" : "present"});
  }
  list_other_legs(sweep, baseline, candidate, result);
  compare_hosts(baseline, candidate, result);
  return result;
}

Json to_json(const Comparability& comparability) {
  Json json;
  json["comparable"] = comparability.blocking.empty();
  if (!comparability.blocking.empty()) json["first_differing_field"] = comparability.blocking.front().field;
  json["blocking"] = to_json(comparability.blocking);
  json["changed"] = to_json(comparability.changed);
  const char* const words[] = {"yes", "no", "unknown"};
  json["same_host"] = words[static_cast<int>(comparability.same_host)];
  json["host_note"] = comparability.host_note;
  return json;
}

}  // namespace nvllm::bench
