#include "bench/accuracy/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "bench/store/canonical_json.h"
#include "bench/store/json_field.h"
#include "bench/store/json_lines.h"

namespace nvllm::bench {

namespace {

constexpr std::size_t kTailCharacters = 200, kQuestionCharacters = 80;

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

/// The last `count` characters.
std::string tail_of(const std::string& utf8, std::size_t count) {
  std::size_t at = utf8.size();
  while (at > 0 && count > 0) {
    --at;
    if (begins_character(utf8[at])) --count;
  }
  return utf8.substr(at);
}

/// The first `count` characters, with "..." for the rest.
std::string beginning_of(const std::string& utf8, std::size_t count) {
  std::size_t at = 0;
  for (; at < utf8.size(); ++at) {
    if (begins_character(utf8[at]) && count-- == 0) return utf8.substr(0, at) + "...";
  }
  return utf8;
}

double rounded(double value, int digits) {
  const double scale = std::pow(10.0, digits);
  return std::round(value * scale) / scale;
}

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json or_null(const std::optional<double>& number) { return number ? Json(*number) : Json(nullptr); }

/// As the published files word it, so that their readers understand ours.
std::string raw_tail(const QuestionResult& result) {
  if (result.status == QuestionStatus::kTimeout) {
    return fmt::format("ERROR: timed out (read timeout={})", result.deadline_s);
  }
  return tail_of(result.output_tail, kTailCharacters);
}

std::string_view published_status(const QuestionResult& result) {
  if (result.status == QuestionStatus::kOk) return "OK";
  return finished(result) ? "WRONG" : "ERROR";
}

Json result_json(const QuestionResult& result) {
  Json json;
  json["i"] = result.prompt_index - 1;
  json["expected"] = result.gold;
  json["got"] = result.pred;
  json["status"] = published_status(result);
  json["elapsed"] = rounded(result.wall_time_s, 1);
  json["raw_tail"] = raw_tail(result);
  json["question"] = beginning_of(result.question, kQuestionCharacters);
  json["wall_time_s"] = rounded(result.wall_time_s, 4);
  json["prompt_tokens"] = result.prompt_tokens;
  json["completion_tokens"] = result.completion_tokens;
  json["total_tokens"] = result.prompt_tokens + result.completion_tokens;
  json["decode_tok_s"] = rounded(result.decode_tok_s, 3);
  json["finish_reason"] = or_null(result.finish_reason);
  json["output_len"] = result.output_len;
  json["output_sha256"] = result.output_sha256;
  json["request_id"] = or_null(result.request_id);
  json["qid"] = result.qid;
  json["attempt"] = result.attempt;
  json["ended"] = to_string(result.status);
  json["disagree"] = result.disagree;
  return json;
}

/// How each reading would have scored, whichever was declared.
Json by_extractor(const QuestionSet& set, std::span<const QuestionResult> latest) {
  using enum Extractor;
  Json json = Json::object();
  for (const Extractor extractor : {kStrict, kFirstMarker, kFlexible, kLegacy}) {
    std::int64_t found = 0, right = 0;
    for (const QuestionResult& result : latest) {
      const std::string& answer = answer_of(result.answers, extractor);
      if (!finished(result) || answer.empty()) continue;
      ++found;
      const Question& question = set.questions.at(static_cast<std::size_t>(result.prompt_index - 1));
      right += answer == gold_answer(question.solution, extractor);
    }
    json[std::string(to_string(extractor))] = Json{{"found", found}, {"correct", right}};
  }
  return json;
}

Json gate(std::int64_t correct, std::optional<std::int64_t> wanted) {
  if (!wanted) return nullptr;
  return correct >= *wanted ? "PASS" : "FAIL";
}

}  // namespace

EvalSummary summarize(std::span<const QuestionResult> results, std::int64_t n) {
  EvalSummary sum{.n = n, .tokens_mean = {}, .tokens_p95 = {}};
  std::vector<double> tokens;
  for (const QuestionResult& result : latest_attempts(results)) {
    ++sum.asked;
    sum.correct += result.status == QuestionStatus::kOk;
    sum.wrong += result.status == QuestionStatus::kWrong;
    sum.no_answer += result.status == QuestionStatus::kNoAnswer;
    sum.censored += result.censored;
    sum.errors += !finished(result);
    if (!finished(result)) continue;
    sum.disagreements += result.disagree;
    sum.ended_by_length += result.finish_reason == "length";
    if (result.completion_tokens > 0) tokens.push_back(static_cast<double>(result.completion_tokens));
  }
  sum.right_max = n - sum.wrong - sum.no_answer;
  if (sum.answered() > 0) {
    sum.disagreement_share = static_cast<double>(sum.disagreements) / static_cast<double>(sum.answered());
  }
  if (!tokens.empty()) {
    double total = 0;
    for (const double one : tokens) total += one;
    sum.tokens_mean = total / static_cast<double>(tokens.size());
    sum.tokens_p95 = percentile_of(tokens, 95);
  }
  return sum;
}

Json gsm8k_json(const QuestionSet& set, const AskOptions& options, std::span<const QuestionResult> results,
                const EvalFacts& facts) {
  const std::vector<QuestionResult> latest = latest_attempts(results);
  const EvalSummary sum = summarize(results, set.size());
  Json json;
  json["schema"] = "nvllm.gsm8k/v1";
  json["label"] = options.label;
  json["model"] = options.model;
  json["api"] = options.target.url + "/v1";
  json["n"] = sum.n;
  json["seed"] = set.choice.seed;
  json["run_index"] = options.run_index;
  json["correct"] = sum.correct;
  json["errors"] = sum.errors;
  json["accuracy"] =
      fmt::format("{}/{} ({:.1f}%)", sum.correct, sum.n,
                  sum.n == 0 ? 0.0 : 100.0 * static_cast<double>(sum.correct) / static_cast<double>(sum.n));
  json["total_seconds"] = rounded(facts.total_s, 1);
  json["asked"] = sum.asked;
  json["wrong"] = sum.wrong;
  json["no_answer"] = sum.no_answer;
  json["censored"] = sum.censored;
  json["stopped"] = or_null(facts.stopped);
  json["bounds"] = Json{{"right_min", sum.correct}, {"right_max", sum.right_max}, {"of", sum.n}};
  json["of_answered"] = Json{{"correct", sum.correct}, {"answered", sum.answered()}};
  json["score"] = to_string(options.score);
  json["by_extractor"] = by_extractor(set, latest);
  json["disagreement"] = Json{{"count", sum.disagreements},
                              {"share", sum.disagreement_share},
                              {"alarm", sum.disagreement_share > kDisagreementAlarm}};
  json["tokens"] = Json{
      {"mean", or_null(sum.tokens_mean)}, {"p95", or_null(sum.tokens_p95)}, {"ended_by_length", sum.ended_by_length}};
  json["gate_floor"] = gate(sum.correct, facts.floor);
  json["gate_ship"] = gate(sum.correct, facts.ship);
  json["results"] = Json::array();
  for (const QuestionResult& result : latest) json["results"].push_back(result_json(result));
  return json;
}

Json gsm8k_metadata(const QuestionSet& set, const AskOptions& options, const EvalFacts& facts) {
  Json json = facts.metadata;
  json["schema"] = "nvllm.gsm8k_metadata/v1";
  json["leg"] = options.leg;
  json["phase"] = "gsm8k";
  json["round"] = options.round;
  json["boot_id"] = options.boot_id;
  json["timestamp_iso"] = facts.timestamp_iso;
  if (!json.contains("model")) json["model"] = options.model;
  json["dataset"] = Json{{"file", set.file_name},
                         {"sha256", set.sha256},
                         {"n_total", set.n_total},
                         {"n", set.size()},
                         {"rng", to_string(set.choice.order)},
                         {"seed", set.choice.seed},
                         {"indices_sha256", indices_sha256(set)}};
  json["prompt_template"] = to_string(options.format);
  json["prompt_template_sha256"] = template_sha256(options.format);
  json["score"] = to_string(options.score);
  json["sampling"] = Json{{"temperature", 0}, {"max_tokens", options.max_tokens}};
  json["concurrency"] = options.concurrency;
  json["deadline_s"] = options.deadline_s;
  json["on_deadline"] = "censor";
  json["drain_max_s"] = options.drain_max_s;
  json["futility"] = Json{{"after", options.futility.after}, {"censored_share", options.futility.censored_share}};
  json["requested"] = Json{{"streaming", options.features.streaming},
                           {"stream_usage", options.features.streaming && options.features.stream_usage},
                           {"token_ids", options.features.token_ids}};
  return json;
}

std::string format_outputs(std::span<const QuestionResult> results) {
  std::string text;
  for (const QuestionResult& result : results) {
    text += canonical_json(Json{{"boot_id", result.boot_id},
                                {"run_index", result.run_index},
                                {"prompt_index", result.prompt_index},
                                {"attempt", result.attempt},
                                {"question", result.question},
                                {"output", result.output_tail}});
  }
  return text;
}

void add_outputs(std::string_view outputs, std::string_view what, std::vector<QuestionResult>& results) {
  std::map<std::tuple<std::string, std::int64_t, std::int64_t, std::int64_t>, QuestionResult*> known;
  for (QuestionResult& one : results) known[{one.boot_id, one.run_index, one.prompt_index, one.attempt}] = &one;
  for_each_json_line(outputs, what, [&](const Json& line, const std::string& place) {
    const auto found = known.find({text_field(line, "boot_id", place), int_field(line, "run_index", place),
                                   int_field(line, "prompt_index", place), int_field(line, "attempt", place)});
    if (found == known.end()) return;
    found->second->question = text_field(line, "question", place);
    found->second->output_tail = text_field(line, "output", place);
  });
}

}  // namespace nvllm::bench
