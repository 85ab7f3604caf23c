#include "bench/analysis/accuracy.h"

#include <fmt/format.h>

#include <optional>
#include <set>

#include "bench/stats/paired_binary_power.h"

namespace nvllm::bench {

namespace {

AnswerSide side_of(const ByQuestion& questions) {
  AnswerSide side;
  double tokens = 0;
  std::int64_t with_tokens = 0;
  for (const auto& [key, q] : questions) {
    ++side.counts.total;
    side.counts.right += q->correct;
    side.counts.censored += q->censored;
    if (q->status == QuestionStatus::kTimeout) side.timed_out.push_back(q->prompt_index);
    if (finished(*q) && q->completion_tokens > 0) {
      tokens += static_cast<double>(q->completion_tokens);
      ++with_tokens;
    }
  }
  if (with_tokens > 0) side.completion_tokens_mean = tokens / static_cast<double>(with_tokens);
  return side;
}

void compare_pair(const QuestionResult& a, const QuestionResult& b, LegAccuracy& leg) {
  ++leg.paired.questions;
  leg.state.push_back(fmt::format("{}>{}", to_string(a.status), to_string(b.status)));
  if (a.correct && !b.correct) leg.lost.push_back(a.prompt_index);
  if (!a.correct && b.correct) leg.gained.push_back(a.prompt_index);
  if (a.censored && b.censored) leg.timed_out_both.push_back(a.prompt_index);
  if (a.status != b.status) leg.transitions.push_back({.question = a.prompt_index, .from = a.status, .to = b.status});
  if (!finished(a) || !finished(b)) return;
  ++leg.both_finished;
  const auto [by, same] = identity(a, b);
  if (by.empty()) return;
  leg.identical_by = by;
  leg.identical += same;
}

std::string undecided(const LegAccuracy& leg, double censored_max) {
  for (const auto& [side, name] : {std::pair(&leg.candidate, "candidate"), std::pair(&leg.baseline, "baseline")}) {
    const double share = static_cast<double>(side->counts.censored) / static_cast<double>(side->counts.total);
    if (share > censored_max) {
      return fmt::format("{} of {} answers of the {} were cut off by the deadline ({:.0f} %, at most {:.0f} % allowed)",
                         side->counts.censored, side->counts.total, name, share * 100, censored_max * 100);
    }
  }
  return "";
}

Json side_json(const AnswerSide& side) {
  const Interval bounds = accuracy_bounds(side.counts);
  Json json;
  json["right"] = side.counts.right;
  json["censored"] = side.counts.censored;
  json["total"] = side.counts.total;
  json["bounds"] = {bounds.low, bounds.high};
  json["timed_out"] = side.timed_out;
  json["completion_tokens_mean"] = side.completion_tokens_mean > 0 ? Json(side.completion_tokens_mean) : Json(nullptr);
  return json;
}

Json power_json(std::int64_t questions, double margin) {
  // Three flips in a hundred without any change: what the note on the statistics plans with.
  constexpr double kFlips = 0.03;
  Json json;
  const double loss = detectable_net_loss(questions, 0.01);
  json["detectable_net_loss"] = loss < 1 ? Json(loss) : Json(nullptr);
  json["noninferiority_margin"] = margin;
  const auto power = [&](std::int64_t n) {
    return noninferiority_power({.questions = n, .lose_rate = kFlips / 2, .gain_rate = kFlips / 2}, margin);
  };
  json["noninferiority_power"] = power(questions);
  json["by_questions"] = Json::array();
  for (const std::int64_t n : std::set<std::int64_t>{questions, 50, 100, 200, 500}) {
    json["by_questions"].push_back({{"questions", n}, {"power", power(n)}});
  }
  json["questions_without_loss"] = questions_without_loss(margin);
  return json;
}

Json leg_json(const LegAccuracy& leg, double margin) {
  const Interval change = tango_interval(leg.paired, 0.90);
  Json json;
  json["leg"] = leg.leg;
  json["baseline"] = side_json(leg.baseline);
  json["candidate"] = side_json(leg.candidate);
  json["outcome"] = leg.undecided_because.empty() ? "MEASURED" : "INCONCLUSIVE";
  if (!leg.undecided_because.empty()) json["undecided_because"] = leg.undecided_because;
  json["lost"] = leg.lost;
  json["gained"] = leg.gained;
  json["timed_out_both"] = leg.timed_out_both;
  json["transitions"] = Json::array();
  for (const Transition& one : leg.transitions) {
    json["transitions"].push_back(
        {{"question", one.question}, {"from", to_string(one.from)}, {"to", to_string(one.to)}});
  }
  json["states"] = leg.state;
  json["mcnemar_p"] = mcnemar_p(leg.paired);
  json["mcnemar_mid_p"] = mcnemar_mid_p(leg.paired);
  json["change_ci90"] = {change.low, change.high};
  json["both_finished"] = leg.both_finished;
  json["identical"] = leg.identical;
  json["identical_by"] = leg.identical_by;
  json["power"] = power_json(leg.paired.questions, margin);
  return json;
}

}  // namespace

ByQuestion first_round(const LegEvidence& leg) {
  ByQuestion found;
  for (const QuestionResult& q : leg.questions) {
    if (q.round != leg.questions.front().round) continue;
    const QuestionResult*& place = found[q.prompt_index];
    if (place == nullptr || q.attempt > place->attempt) place = &q;
  }
  return found;
}

std::pair<std::string, bool> identity(const QuestionResult& a, const QuestionResult& b) {
  if (!a.token_ids_sha256.empty() && !b.token_ids_sha256.empty()) {
    return {"token ids", a.token_ids_sha256 == b.token_ids_sha256};
  }
  if (!a.output_sha256.empty() && !b.output_sha256.empty()) return {"output hash", a.output_sha256 == b.output_sha256};
  if (!a.output_tail.empty() && !b.output_tail.empty()) return {"end of the text", a.output_tail == b.output_tail};
  return {"", false};
}

std::vector<LegAccuracy> compare_accuracy(const Sweep& sweep, const EvidenceFolder& baseline,
                                          const EvidenceFolder& candidate) {
  std::vector<LegAccuracy> legs;
  for (const SweepLeg& leg : sweep.legs) {
    const LegEvidence *a = find_leg(baseline, leg.name), *b = find_leg(candidate, leg.name);
    if (a == nullptr || b == nullptr || a->questions.empty() || b->questions.empty()) continue;
    LegAccuracy one;
    one.leg = leg.name;
    const ByQuestion before = first_round(*a), after = first_round(*b);
    one.baseline = side_of(before);
    one.candidate = side_of(after);
    for (const auto& [key, question] : before) {
      if (const auto found = after.find(key); found != after.end()) compare_pair(*question, *found->second, one);
    }
    if (one.paired.questions == 0) continue;
    one.paired.lost = static_cast<std::int64_t>(one.lost.size());
    one.paired.gained = static_cast<std::int64_t>(one.gained.size());
    one.undecided_because = undecided(one, sweep.censored_max);
    legs.push_back(std::move(one));
  }
  return legs;
}

Json to_json(const std::vector<LegAccuracy>& legs, double margin) {
  Json json;
  json["legs"] = Json::array();
  for (const LegAccuracy& leg : legs) json["legs"].push_back(leg_json(leg, margin));
  return json;
}

}  // namespace nvllm::bench
