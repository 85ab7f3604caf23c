#include "bench/analysis/answer_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/files.h"
#include "bench/accuracy/summary.h"
#include "bench/analysis/accuracy.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFileBytesMax = 256ll << 20;
constexpr std::size_t kTextBytes = 1200;    // of one question or answer
constexpr std::size_t kPairBytes = 450;     // of what a report writes around them
constexpr std::size_t kAllBytes = 800'000;  // of all of it: a report is to stay below 2 MB

/// The first round's answers, with their texts where the folder keeps them.
std::vector<QuestionResult> answers_of(const EvidenceFolder& folder, const LegEvidence& leg) {
  std::vector<QuestionResult> answers;
  for (const auto& [key, answer] : first_round(leg)) answers.push_back(*answer);
  if (answers.empty()) return answers;
  const fs::path file =
      folder.path / leg.leg / fmt::format("rounds/{:02}/gsm8k/outputs.jsonl", answers[0].round);
  if (fs::exists(file)) add_outputs(read_file(file, kFileBytesMax), "outputs.jsonl", answers);
  return answers;
}

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; }

/// The end of a text, from the beginning of a character.
std::string end_of(const std::string& text) {
  if (text.size() <= kTextBytes) return text;
  std::size_t at = text.size() - kTextBytes;
  while (at < text.size() && !starts_character(text[at])) ++at;
  return "... " + text.substr(at);
}

struct Pair {
  std::string leg;
  const QuestionResult *before = nullptr, *now = nullptr;
  bool same = false;
  std::string by;  ///< what `same` was told by; empty: it was not
};

/// Texts in this order until they are too many: changed, other text, not right, the rest.
int urgency(const Pair& pair) {
  if (pair.before->status != pair.now->status) return 0;
  if (!pair.by.empty() && !pair.same) return 1;
  return pair.now->status != QuestionStatus::kOk ? 2 : 3;
}

Json side_json(const QuestionResult& answer) {
  Json json;
  json["status"] = to_string(answer.status);
  json["read_as"] = answer.pred;
  json["tokens"] = answer.completion_tokens;
  json["wall_s"] = answer.wall_time_s;
  return json;
}

Json pair_json(const Pair& pair, std::size_t& bytes_left) {
  Json json;
  json["question"] = pair.now->prompt_index;
  json["wanted"] = pair.now->gold;
  json["same"] = pair.by.empty() ? Json(nullptr) : Json(pair.same);
  json["baseline"] = side_json(*pair.before);
  json["candidate"] = side_json(*pair.now);
  const std::string asked =
      end_of(pair.now->question.empty() ? pair.before->question : pair.now->question);
  const std::string before = end_of(pair.before->output_tail), now = end_of(pair.now->output_tail);
  const std::size_t bytes = asked.size() + now.size() + (before == now ? 0 : before.size());
  if (bytes == 0 || bytes + kPairBytes > bytes_left) return json;
  bytes_left -= bytes + kPairBytes;
  json["asked"] = asked;
  json["baseline"]["output"] = before;
  json["candidate"]["output"] = now;
  return json;
}

}  // namespace

Json answer_texts_json(const Sweep& sweep, const EvidenceFolder& baseline,
                       const EvidenceFolder& candidate) {
  std::vector<std::vector<QuestionResult>> kept;  // what the pairs point into
  kept.reserve(2 * sweep.legs.size());
  std::vector<Pair> pairs;
  for (const SweepLeg& leg : sweep.legs) {
    const LegEvidence *a = find_leg(baseline, leg.name), *b = find_leg(candidate, leg.name);
    if (a == nullptr || b == nullptr) continue;
    const auto& before = kept.emplace_back(answers_of(baseline, *a));
    const auto& now = kept.emplace_back(answers_of(candidate, *b));
    for (const QuestionResult& one : now) {
      const auto found = std::find_if(
          before.begin(), before.end(),
          [&](const QuestionResult& other) { return other.prompt_index == one.prompt_index; });
      if (found == before.end()) continue;
      // An answer that was cut off is neither the same nor another one.
      const bool both = finished(*found) && finished(one);
      const auto [by, same] = both ? identity(*found, one) : std::pair<std::string, bool>{};
      pairs.push_back({.leg = leg.name, .before = &*found, .now = &one, .same = same, .by = by});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& x, const Pair& y) { return urgency(x) < urgency(y); });
  std::size_t bytes_left = kAllBytes;
  std::map<std::string, std::map<std::int64_t, Json>> by_leg;
  std::int64_t left_out = 0;
  for (const Pair& pair : pairs) {
    Json one = pair_json(pair, bytes_left);
    left_out += !one.contains("asked");
    by_leg[pair.leg][pair.now->prompt_index] = std::move(one);
  }
  Json json;
  json["left_out"] = left_out;
  json["legs"] = Json::array();
  for (const SweepLeg& leg : sweep.legs) {
    if (!by_leg.contains(leg.name)) continue;
    Json questions = Json::array();
    for (auto& [number, one] : by_leg[leg.name]) questions.push_back(std::move(one));
    json["legs"].push_back({{"leg", leg.name}, {"questions", std::move(questions)}});
  }
  return json;
}

}  // namespace nvllm::bench
