#include "bench/records/question.h"

namespace nvllm::bench {

std::string_view to_string(QuestionStatus status) {
  switch (status) {
    case QuestionStatus::kOk:
      return "ok";
    case QuestionStatus::kWrong:
      return "wrong";
    case QuestionStatus::kTimeout:
      return "timeout";
    case QuestionStatus::kHttpError:
      return "http_error";
    case QuestionStatus::kServerDied:
      return "server_died";
    case QuestionStatus::kNoAnswer:
      return "no_answer";
  }
  return "no_answer";
}

std::optional<QuestionStatus> parse_question_status(std::string_view text) {
  using enum QuestionStatus;
  for (const QuestionStatus status : {kOk, kWrong, kTimeout, kHttpError, kServerDied, kNoAnswer}) {
    if (to_string(status) == text) return status;
  }
  return std::nullopt;
}

bool finished(const QuestionResult& result) {
  using enum QuestionStatus;
  return result.status == kOk || result.status == kWrong || result.status == kNoAnswer;
}

}  // namespace nvllm::bench
