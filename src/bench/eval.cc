#include "bench/eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/json.h"
#include "net/http_client.h"

namespace nvllm::bench {

namespace {

std::string request_body(const Problem& problem, const EvalOptions& options) {
  Json body;
  if (options.format == ProblemFormat::kChat) {
    body["messages"] = Json::array({Json{{"role", "user"}, {"content", problem.question}}});
  } else {
    body["prompt"] = fmt::format("Question: {}\nAnswer: ", problem.question);
  }
  body["max_tokens"] = options.max_tokens;
  body["temperature"] = 0;
  body["return_token_ids"] = true;
  return dump_json(body);
}

EvalAnswer read_answer(const Json& reply, ProblemFormat format) {
  EvalAnswer answer;
  const Json& choice = reply.at("choices").at(0);
  answer.text = format == ProblemFormat::kChat ? choice.at("message").at("content").get<std::string>()
                                               : choice.at("text").get<std::string>();
  answer.finish_reason = choice.at("finish_reason").get<std::string>();
  if (const auto ids = choice.find("token_ids"); ids != choice.end() && ids->is_array()) {
    answer.token_ids = ids->get<std::vector<std::int32_t>>();
  }
  answer.completion_tokens = reply.at("usage").at("completion_tokens").get<std::int64_t>();
  return answer;
}

EvalAnswer ask(net::HttpClient& client, const Problem& problem, const EvalOptions& options) {
  try {
    const char* path = options.format == ProblemFormat::kChat ? "/v1/chat/completions" : "/v1/completions";
    const net::HttpResponse response = client.post(path, request_body(problem, options));
    if (response.status != 200) {
      EvalAnswer failed;
      failed.error = fmt::format("HTTP {}: {}", response.status, response.body.substr(0, 300));
      return failed;
    }
    EvalAnswer answer = read_answer(parse_json(response.body, "the server's answer"), options.format);
    const auto wanted = final_answer(problem.answer), got = final_answer(answer.text);
    answer.right = wanted && got && *wanted == *got;
    return answer;
  } catch (const std::exception& error) {
    EvalAnswer failed;
    failed.error = error.what();
    return failed;
  }
}

}  // namespace

std::int64_t EvalResult::right() const {
  return std::count_if(answers.begin(), answers.end(), [](const EvalAnswer& a) { return a.right; });
}

std::int64_t EvalResult::failed() const {
  return std::count_if(answers.begin(), answers.end(), [](const EvalAnswer& a) { return !a.error.empty(); });
}

std::int64_t EvalResult::completion_tokens() const {
  std::int64_t sum = 0;
  for (const EvalAnswer& answer : answers) sum += answer.completion_tokens;
  return sum;
}

EvalResult evaluate(const std::vector<Problem>& problems, const EvalOptions& options,
                    const std::function<void(std::int64_t)>& progress) {
  EvalResult result;
  result.answers.resize(problems.size());
  std::atomic<std::size_t> next{0};
  std::mutex progress_mutex;
  std::int64_t done = 0;
  const auto begin = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> workers;
    const auto count = std::min<std::int64_t>(options.concurrency, static_cast<std::int64_t>(problems.size()));
    for (std::int64_t i = 0; i < count; ++i) {
      workers.emplace_back([&] {
        net::HttpClientOptions client_options;
        if (!options.api_key.empty()) client_options.headers.push_back({"Authorization", "Bearer " + options.api_key});
        net::HttpClient client(options.url, client_options);
        for (std::size_t index = next++; index < problems.size(); index = next++) {
          result.answers[index] = ask(client, problems[index], options);
          const std::lock_guard lock(progress_mutex);
          ++done;
          if (progress) progress(done);
        }
      });
    }
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (result.failed() == static_cast<std::int64_t>(problems.size())) {
    throw Error(ErrorKind::kUnavailable,
                fmt::format("{}: every request failed; the first: {}", options.url, result.answers[0].error));
  }
  return result;
}

}  // namespace nvllm::bench
