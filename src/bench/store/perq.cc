#include "bench/store/perq.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "bench/store/canonical_json.h"
#include "bench/store/json_field.h"
#include "bench/store/json_lines.h"

namespace nvllm::bench {

namespace {

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json or_null(const std::optional<double>& number) { return number ? Json(*number) : Json(nullptr); }

Json to_json(const QuestionResult& result) {
  Json json;
  json["label"] = result.label;
  json["run_index"] = result.run_index;
  json["prompt_index"] = result.prompt_index;
  json["wall_time_s"] = result.wall_time_s;
  json["prompt_tokens"] = result.prompt_tokens;
  json["completion_tokens"] = result.completion_tokens;
  json["total_tokens"] = result.prompt_tokens + result.completion_tokens;
  json["decode_tok_s"] = result.decode_tok_s;
  json["finish_reason"] = or_null(result.finish_reason);
  json["gold"] = result.gold;
  json["pred"] = result.pred;
  json["correct"] = result.correct;
  json["output_len"] = result.output_len;
  json["output_sha256"] = result.output_sha256;
  json["request_id"] = or_null(result.request_id);
  json["ts"] = result.ts;
  json["qid"] = result.qid;
  json["question_sha256"] = or_null(result.question_sha256);
  json["prompt_sha256"] = or_null(result.prompt_sha256);
  json["leg"] = result.leg;
  json["round"] = result.round;
  json["boot_id"] = result.boot_id;
  json["attempt"] = result.attempt;
  json["status"] = std::string(to_string(result.status));
  json["censored"] = result.censored;
  json["deadline_s"] = result.deadline_s;
  json["ttft_ms"] = or_null(result.ttft_ms);
  json["itl_p50_ms"] = or_null(result.itl_p50_ms);
  json["itl_p99_ms"] = or_null(result.itl_p99_ms);
  json["token_ids_sha256"] = or_null(result.token_ids_sha256);
  json["answers"] = Json{{"strict", result.answers.strict},
                         {"first_marker", result.answers.first_marker},
                         {"flexible", result.answers.flexible},
                         {"legacy", result.answers.legacy}};
  json["disagree"] = result.disagree;
  json["drain_s"] = result.drain_s;
  json["sm_mhz"] = or_null(result.sm_mhz);
  return json;
}

bool flag(const Json& line, const char* key, std::string_view place, std::optional<bool> otherwise) {
  const auto found = line.find(key);
  if (found != line.end() && found->is_boolean()) return found->get<bool>();
  if (found == line.end() && otherwise) return *otherwise;
  throw Error(ErrorKind::kBadFile, fmt::format("{}: field '{}' is absent or neither true nor false", place, key));
}

void read_reference_fields(const Json& line, const std::string& place, QuestionResult& result) {
  result.label = text_field(line, "label", place);
  result.run_index = int_field(line, "run_index", place);
  result.prompt_index = int_field(line, "prompt_index", place);
  result.wall_time_s = number_field(line, "wall_time_s", place);
  result.prompt_tokens = int_field(line, "prompt_tokens", place);
  result.completion_tokens = int_field(line, "completion_tokens", place);
  result.decode_tok_s = number_field(line, "decode_tok_s", place);
  result.finish_reason = maybe_text(line, "finish_reason", place).value_or("");
  result.gold = text_field(line, "gold", place);
  result.pred = text_field(line, "pred", place);
  result.correct = flag(line, "correct", place, std::nullopt);
  result.output_len = int_field(line, "output_len", place);
  result.output_sha256 = text_field(line, "output_sha256", place);
  result.request_id = maybe_text(line, "request_id", place).value_or("");
  result.ts = number_field(line, "ts", place);
}

QuestionStatus status_of(const Json& line, const std::string& place, const QuestionResult& result) {
  if (const auto name = maybe_text(line, "status", place)) {
    if (const auto status = parse_question_status(*name)) return *status;
    throw Error(ErrorKind::kBadFile, fmt::format("{}: field 'status' is '{}', which is no status", place, *name));
  }
  if (result.correct) return QuestionStatus::kOk;
  return result.finish_reason.empty() ? QuestionStatus::kHttpError : QuestionStatus::kWrong;
}

void read_our_fields(const Json& line, const std::string& place, QuestionResult& result) {
  const auto text = [&](const char* key) { return maybe_text(line, key, place).value_or(""); };
  result.qid = text("qid");
  result.question_sha256 = text("question_sha256");
  result.prompt_sha256 = text("prompt_sha256");
  result.leg = text("leg");
  result.round = maybe_int(line, "round", place).value_or(1);
  result.boot_id = text("boot_id");
  result.attempt = maybe_int(line, "attempt", place).value_or(1);
  result.status = status_of(line, place, result);
  result.censored = flag(line, "censored", place, false);
  result.deadline_s = maybe_number(line, "deadline_s", place).value_or(0);
  result.ttft_ms = maybe_number(line, "ttft_ms", place);
  result.itl_p50_ms = maybe_number(line, "itl_p50_ms", place);
  result.itl_p99_ms = maybe_number(line, "itl_p99_ms", place);
  result.token_ids_sha256 = text("token_ids_sha256");
  result.disagree = flag(line, "disagree", place, false);
  result.drain_s = maybe_number(line, "drain_s", place).value_or(0);
  result.sm_mhz = maybe_number(line, "sm_mhz", place);
  const auto answers = line.find("answers");
  if (answers == line.end() || answers->is_null()) return;
  const auto answer = [&](const char* key) { return maybe_text(*answers, key, place).value_or(""); };
  result.answers = {answer("strict"), answer("first_marker"), answer("flexible"), answer("legacy")};
}

}  // namespace

std::string perq_line(const QuestionResult& result) { return canonical_json(to_json(result)); }

std::string format_perq(std::span<const QuestionResult> results) {
  std::string text;
  for (const QuestionResult& result : results) text += perq_line(result);
  return text;
}

std::vector<QuestionResult> parse_perq(std::string_view text, std::string_view what) {
  std::vector<QuestionResult> results;
  std::set<std::tuple<std::string, std::int64_t, std::int64_t, std::int64_t>> keys;
  for_each_json_line(text, what, [&](const Json& line, const std::string& place) {
    QuestionResult result;
    read_reference_fields(line, place, result);
    read_our_fields(line, place, result);
    if (!keys.emplace(result.boot_id, result.run_index, result.prompt_index, result.attempt).second) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}: question {}, attempt {} of this boot appears twice", place,
                                                   result.prompt_index, result.attempt));
    }
    results.push_back(std::move(result));
  });
  return results;
}

}  // namespace nvllm::bench
