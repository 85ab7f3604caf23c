#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvllm::bench {

/// In which way some questions of a file are chosen.
enum class QuestionOrder {
  kFirst,   ///< the first n, in the file's order
  kPython,  ///< random.Random(seed).sample(range(population), n), in the order drawn
};

/// "first", "python-random-sample".
std::string_view to_string(QuestionOrder order);

/// The order of that name ("python" is taken, too), or nothing.
std::optional<QuestionOrder> parse_question_order(std::string_view text);

/// Which questions are asked.
struct QuestionChoice {
  QuestionOrder order = QuestionOrder::kFirst;
  std::uint64_t seed = 42;  ///< kPython
  std::int64_t n = 0;       ///< 0: all
};

/// One question of GSM8K's record format.
struct Question {
  std::int64_t index = 0;  ///< from 0, in the file
  std::string question{};
  std::string solution{};  ///< the worked answer; its last line is "#### NUMBER"
};

/// The name of a question that does not change with the choice: "q1309".
std::string question_id(const Question& question);

/// The questions that are asked, in that order, and where they come from.
struct QuestionSet {
  std::string file_name;  ///< without folders
  std::string sha256;     ///< of the file
  std::int64_t n_total = 0;
  QuestionChoice choice;
  std::vector<Question> questions;

  std::int64_t size() const { return static_cast<std::int64_t>(questions.size()); }
};

/// The indices of a choice, in the order asked.
///   Errors: Error(kUsage) if n is negative or more than the population.
std::vector<std::int64_t> choose_questions(std::int64_t population, const QuestionChoice& choice);

/// Digest of the indices in order: two runs with the same one asked the same lines of a file.
std::string indices_sha256(const QuestionSet& set);

/// Reads a JSON-lines file of {"question", "answer"} and chooses from it.
///   Errors: Error(kNotFound); Error(kBadFile) naming the line and the field; those of choose_questions.
QuestionSet read_question_set(const std::filesystem::path& path, const QuestionChoice& choice);

/// Drops all but the first `limit` questions of a set; 0, or more than there are, keeps all.
void keep_first(QuestionSet& set, std::int64_t limit);

}  // namespace nvllm::bench
