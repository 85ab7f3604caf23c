#include "bench/import/lm_eval.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "bench/problems.h"
#include "bench/store/json_field.h"
#include "bench/store/json_lines.h"

namespace nvllm::bench {

namespace {

constexpr std::int64_t kFileBytesMax = 1ll << 30;
constexpr std::string_view kNothingFound = "[invalid]";  // what the harness puts where a filter finds no answer

/// The first text inside of nested lists: resps is [["text"]], filtered_resps is ["text"].
std::string first_text(const Json& object, const char* key, const std::string& place) {
  const Json* value = &array_field(object, key, place);
  while (value->is_array() && !value->empty()) value = &value->front();
  if (value->is_string()) return value->get<std::string>();
  throw Error(ErrorKind::kBadFile, fmt::format("{}: field '{}' holds no text", place, key));
}

/// GSM8K's target is the worked answer; other tasks have the answer itself.
std::string gold_of(const Json& line) {
  const auto target = line.find("target");
  if (target == line.end()) return "";
  if (!target->is_string()) return dump_json(*target);
  return final_answer(target->get<std::string>()).value_or(target->get<std::string>());
}

struct Gathered {
  QuestionResult question;
  std::set<std::string> filters;
  bool decided = false;
};

void take_line(const Json& line, const std::string& place, const LmEvalOptions& options, Gathered& gathered) {
  // Versions before filters were logged have no such field: they knew one.
  const std::string filter = maybe_text(line, "filter", place).value_or(options.filter);
  if (!gathered.filters.insert(filter).second) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: this question and filter '{}' appear twice", place, filter));
  }
  QuestionResult& question = gathered.question;
  std::string answer = first_text(line, "filtered_resps", place);
  if (answer == kNothingFound) answer.clear();
  if (filter == "strict-match") question.answers.strict = answer;
  if (filter == "flexible-extract") question.answers.flexible = answer;
  if (filter != options.filter) return;
  gathered.decided = true;
  question.gold = gold_of(line);
  question.pred = answer;
  question.output_tail = first_text(line, "resps", place);
  question.correct = number_field(line, options.metric.c_str(), place) == 1;
  question.status = question.correct ? QuestionStatus::kOk
                    : answer.empty() ? QuestionStatus::kNoAnswer
                                     : QuestionStatus::kWrong;
  question.question_sha256 = maybe_text(line, "doc_hash", place).value_or("");
  question.prompt_sha256 = maybe_text(line, "prompt_hash", place).value_or("");
  if (const auto doc = line.find("doc"); doc != line.end() && doc->is_object()) {
    question.question = maybe_text(*doc, "question", place).value_or("");
  }
}

}  // namespace

std::vector<QuestionResult> import_lm_eval_samples(const std::filesystem::path& path, const LmEvalOptions& options) {
  std::map<std::int64_t, Gathered> by_document;
  for_each_json_line(read_file(path, kFileBytesMax), path.string(), [&](const Json& line, const std::string& place) {
    take_line(line, place, options, by_document[int_field(line, "doc_id", place)]);
  });
  std::vector<QuestionResult> questions;
  for (auto& [document, gathered] : by_document) {
    if (!gathered.decided) {
      throw Error(ErrorKind::kBadFile,
                  fmt::format("{}: question {} has no line of filter '{}'; it has: {}", path.string(), document,
                              options.filter, fmt::join(gathered.filters, ", ")));
    }
    QuestionResult& question = gathered.question;
    question.qid = fmt::format("{}", document);
    question.prompt_index = document + 1;
    question.leg = options.leg;
    question.disagree = gathered.filters.contains("strict-match") && gathered.filters.contains("flexible-extract") &&
                        question.answers.strict != question.answers.flexible;
    questions.push_back(std::move(question));
  }
  return questions;
}

std::vector<LmEvalScore> import_lm_eval_results(const std::filesystem::path& path) {
  const std::string what = path.string();
  const Json whole = parse_json(read_file(path, kFileBytesMax), what, {.depth_max = 64, .nodes_max = 5'000'000});
  if (!whole.is_object() || !whole.contains("results") || !whole.at("results").is_object()) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: field 'results' is absent or no object", what));
  }
  std::vector<LmEvalScore> scores;
  for (const auto& task : whole.at("results").items()) {
    if (!task.value().is_object()) continue;
    for (const auto& item : task.value().items()) {
      const std::string& key = item.key();
      const std::size_t comma = key.find(',');
      if (comma == std::string::npos || !item.value().is_number()) continue;
      LmEvalScore score{task.key(), key.substr(0, comma), key.substr(comma + 1), item.value().get<double>(), {}};
      if (score.metric.ends_with("_stderr")) continue;
      const auto error = task.value().find(score.metric + "_stderr," + score.filter);
      if (error != task.value().end() && error->is_number()) score.standard_error = error->get<double>();
      scores.push_back(std::move(score));
    }
  }
  return scores;
}

}  // namespace nvllm::bench
