#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nvllm::bench {

/// How a question ended. Only kOk and kWrong say something about the model.
enum class QuestionStatus { kOk, kWrong, kTimeout, kHttpError, kServerDied, kNoAnswer };

/// "ok", "wrong", "timeout", "http_error", "server_died", "no_answer".
std::string_view to_string(QuestionStatus status);

/// The status of that name, or nothing.
std::optional<QuestionStatus> parse_question_status(std::string_view text);

/// The answer that each extractor found in the output; empty: none.
struct ExtractedAnswers {
  std::string strict, first_marker, flexible, legacy;
};

/// One question put once to one server boot: a line of perq.jsonl. Its key is (boot, question,
/// attempt); the names are those of the file.
struct QuestionResult {
  // The reference's fields.
  std::string label;
  std::int64_t run_index = 0;
  std::int64_t prompt_index = 0;  ///< from 1, in the order asked
  double wall_time_s = 0;
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
  double decode_tok_s = 0;
  std::string finish_reason;  ///< empty where no answer came
  std::string gold, pred;
  bool correct = false;
  std::int64_t output_len = 0;
  std::string output_sha256;  ///< hexadecimal; the reference keeps the first 16 digits only
  std::string request_id;
  double ts = 0;  ///< seconds since 1970

  // Ours.
  std::string qid;  ///< which question of the data set
  std::string question_sha256, prompt_sha256;
  std::string leg;
  std::int64_t round = 1;
  std::string boot_id;
  std::int64_t attempt = 1;
  QuestionStatus status = QuestionStatus::kNoAnswer;
  bool censored = false;  ///< stopped by the deadline: neither right nor wrong
  double deadline_s = 0;
  std::optional<double> ttft_ms, itl_p50_ms, itl_p99_ms;
  std::string token_ids_sha256;
  ExtractedAnswers answers;
  bool disagree = false;  ///< the extractors do not all say the same
  double drain_s = 0;
  std::optional<double> sm_mhz;

  // Text, where the source kept some of it. Not part of perq.jsonl.
  std::string question;     ///< whole or its beginning
  std::string output_tail;  ///< whole or its end
};

/// Whether the server gave an answer to score.
bool finished(const QuestionResult& result);

}  // namespace nvllm::bench
