#include "bench/run/question_run.h"

#include <fmt/format.h>

#include <chrono>

#include "base/error.h"
#include "base/hashing.h"
#include "base/json.h"
#include "bench/run/burst.h"
#include "bench/stats/python_random.h"
#include "bench/store/file_digest.h"
#include "net/http_client.h"

namespace nvllm::bench {

namespace {

std::string prompt_of(const Problem& problem) { return fmt::format("Question: {}\nAnswer: ", problem.question); }

std::string request_body(const Problem& problem, const RunSettings& settings) {
  Json body;
  body["prompt"] = prompt_of(problem);
  body["max_tokens"] = settings.question_max_tokens;
  body["temperature"] = 0;
  body["return_token_ids"] = true;
  return dump_json(body);
}

void read_answer(const Json& reply, QuestionResult& result) {
  const Json& choice = reply.at("choices").at(0);
  const std::string text = choice.at("text").get<std::string>();
  result.finish_reason = choice.at("finish_reason").get<std::string>();
  result.request_id = reply.value("id", "");
  result.prompt_tokens = reply.at("usage").at("prompt_tokens").get<std::int64_t>();
  result.completion_tokens = reply.at("usage").at("completion_tokens").get<std::int64_t>();
  if (const auto ids = choice.find("token_ids"); ids != choice.end() && ids->is_array()) {
    result.token_ids_sha256 = token_ids_hash(ids->get<std::vector<std::int32_t>>());
  }
  result.output_len = static_cast<std::int64_t>(text.size());
  result.output_sha256 = sha256_hex(std::string_view(text));
  result.pred = final_answer(text).value_or("");
  result.answers.strict = result.pred;
  result.correct = !result.gold.empty() && result.pred == result.gold;
  result.status = result.correct ? QuestionStatus::kOk : QuestionStatus::kWrong;
}

QuestionResult blank(const DrawnProblem& drawn, const RunSettings& settings, const AnswerOrigin& origin,
                     std::int64_t position) {
  QuestionResult result;
  result.label = result.leg = origin.leg;
  result.run_index = origin.round;
  result.prompt_index = position;
  result.gold = final_answer(drawn.problem.answer).value_or("");
  result.qid = fmt::format("{}", drawn.index);
  result.question = drawn.problem.question;
  result.question_sha256 = sha256_hex(std::string_view(drawn.problem.question));
  result.prompt_sha256 = sha256_hex(std::string_view(prompt_of(drawn.problem)));
  result.output_sha256 = sha256_hex(std::string_view());
  result.round = origin.round;
  result.boot_id = origin.boot_id;
  result.attempt = origin.attempt;
  result.deadline_s = settings.deadline_s;
  result.ts = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return result;
}

void put(net::HttpClient& client, const DrawnProblem& drawn, const RunSettings& settings, QuestionResult& result) {
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [begin] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  try {
    const net::HttpResponse response = client.post("/v1/completions", request_body(drawn.problem, settings));
    result.wall_time_s = elapsed();
    if (response.status == 200) {
      read_answer(parse_json(response.body, "the server's answer"), result);
    } else {
      result.status = QuestionStatus::kHttpError;
    }
  } catch (const Error& error) {
    result.wall_time_s = elapsed();
    result.censored = result.wall_time_s >= settings.deadline_s;
    result.status = result.censored                              ? QuestionStatus::kTimeout
                    : error.kind() == ErrorKind::kUnavailable ? QuestionStatus::kServerDied
                                                              : QuestionStatus::kHttpError;
  } catch (const Json::exception&) {
    result.wall_time_s = elapsed();
    result.status = QuestionStatus::kHttpError;
  }
  if (result.wall_time_s > 0) result.decode_tok_s = static_cast<double>(result.completion_tokens) / result.wall_time_s;
}

}  // namespace

std::vector<DrawnProblem> draw_problems(const RunSettings& settings) {
  if (!settings.problems_sha256.empty()) {
    const std::string seen = digest_file(settings.problems).sha256;
    if (seen != settings.problems_sha256) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}: sha256 is {}, the sweep declares {}",
                                                   settings.problems.string(), seen, settings.problems_sha256));
    }
  }
  const std::vector<Problem> all = read_problems(settings.problems, 0);
  const auto count = static_cast<std::int64_t>(all.size());
  if (count < settings.questions) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: {} questions, the sweep wants {}", settings.problems.string(),
                                               count, settings.questions));
  }
  std::vector<std::int64_t> indices;
  if (settings.python_sample) {
    indices = PythonRandom(static_cast<std::uint64_t>(settings.seed)).sample(count, settings.questions);
  } else {
    for (std::int64_t i = 0; i < settings.questions; ++i) indices.push_back(i);
  }
  std::vector<DrawnProblem> drawn;
  for (const std::int64_t index : indices) drawn.push_back({all[static_cast<std::size_t>(index)], index});
  return drawn;
}

std::vector<QuestionResult> put_questions(const std::string& url, const std::vector<DrawnProblem>& problems,
                                          const RunSettings& settings, const AnswerOrigin& origin,
                                          const std::function<void(const QuestionResult&)>& after_each) {
  net::HttpClientOptions options;
  options.silence_time = std::chrono::milliseconds(static_cast<std::int64_t>(settings.deadline_s * 1e3));
  net::HttpClient client(url, options);
  std::vector<QuestionResult> results;
  for (const DrawnProblem& problem : problems) {
    results.push_back(blank(problem, settings, origin, static_cast<std::int64_t>(results.size()) + 1));
    put(client, problem, settings, results.back());
    after_each(results.back());
  }
  return results;
}

}  // namespace nvllm::bench
