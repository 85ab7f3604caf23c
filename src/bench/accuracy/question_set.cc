#include "bench/accuracy/question_set.h"

#include <fmt/format.h>

#include <numeric>

#include "base/error.h"
#include "base/files.h"
#include "base/hashing.h"
#include "bench/stats/python_random.h"
#include "bench/store/json_field.h"
#include "bench/store/json_lines.h"

namespace nvllm::bench {

namespace {

constexpr std::int64_t kFileBytesMax = 256ll << 20;

}  // namespace

std::string_view to_string(QuestionOrder order) {
  return order == QuestionOrder::kFirst ? "first" : "python-random-sample";
}

std::optional<QuestionOrder> parse_question_order(std::string_view text) {
  if (text == "first") return QuestionOrder::kFirst;
  if (text == "python" || text == "python-random-sample") return QuestionOrder::kPython;
  return std::nullopt;
}

std::string question_id(const Question& question) { return fmt::format("q{}", question.index); }

std::vector<std::int64_t> choose_questions(std::int64_t population, const QuestionChoice& choice) {
  if (choice.n < 0 || choice.n > population) {
    throw Error(ErrorKind::kUsage, fmt::format("{} questions wanted, there are {}; give 0 to {} (0: all)", choice.n,
                                               population, population));
  }
  const std::int64_t n = choice.n == 0 ? population : choice.n;
  if (choice.order == QuestionOrder::kPython) return PythonRandom(choice.seed).sample(population, n);
  std::vector<std::int64_t> indices(static_cast<std::size_t>(n));
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

std::string indices_sha256(const QuestionSet& set) {
  std::string text;
  for (const Question& question : set.questions) text += fmt::format("{}\n", question.index);
  return sha256_hex(text);
}

QuestionSet read_question_set(const std::filesystem::path& path, const QuestionChoice& choice) {
  const std::string text = read_file(path, kFileBytesMax);
  QuestionSet set{.file_name = path.filename().string(), .sha256 = sha256_hex(text), .choice = choice, .questions = {}};
  std::vector<Question> all;
  for_each_json_line(text, path.string(), [&](const Json& line, const std::string& place) {
    if (!line.is_object()) throw Error(ErrorKind::kBadFile, fmt::format("{}: not a JSON object", place));
    all.push_back({.index = static_cast<std::int64_t>(all.size()),
                   .question = text_field(line, "question", place),
                   .solution = text_field(line, "answer", place)});
  });
  set.n_total = static_cast<std::int64_t>(all.size());
  if (all.empty()) throw Error(ErrorKind::kBadFile, fmt::format("{}: holds no question", path.string()));
  for (const std::int64_t index : choose_questions(set.n_total, choice)) {
    set.questions.push_back(all[static_cast<std::size_t>(index)]);
  }
  return set;
}

void keep_first(QuestionSet& set, std::int64_t limit) {
  if (limit <= 0 || limit >= set.size()) return;
  set.questions.resize(static_cast<std::size_t>(limit));
  set.choice.n = limit;
}

}  // namespace nvllm::bench
