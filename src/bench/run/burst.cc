#include "bench/run/burst.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/hashing.h"
#include "base/json.h"

namespace nvllm::bench {

namespace {

constexpr std::size_t kTold = 300;

struct Answer {
  std::int64_t completion_tokens = 0, prompt_tokens = 0;
  std::string token_ids_sha256;
};

Answer ask(net::HttpClient& client, const std::string& prompt, std::int64_t max_tokens) {
  Json body;
  body["prompt"] = prompt;
  body["max_tokens"] = max_tokens;
  body["temperature"] = 0;
  body["ignore_eos"] = true;
  body["return_token_ids"] = true;
  const net::HttpResponse response = client.post("/v1/completions", dump_json(body));
  if (response.status != 200) {
    throw Error(ErrorKind::kUnavailable,
                fmt::format("the server answered {} instead of 200: {}", response.status,
                            response.body.substr(0, kTold)));
  }
  try {
    const Json reply =
        parse_json(response.body, "the server's answer", {.depth_max = 32, .nodes_max = 5'000'000});
    Answer answer;
    answer.completion_tokens = reply.at("usage").at("completion_tokens").get<std::int64_t>();
    answer.prompt_tokens = reply.at("usage").at("prompt_tokens").get<std::int64_t>();
    const Json& choice = reply.at("choices").at(0);
    if (const auto ids = choice.find("token_ids"); ids != choice.end() && ids->is_array()) {
      answer.token_ids_sha256 = token_ids_hash(ids->get<std::vector<std::int32_t>>());
    }
    return answer;
  } catch (const std::exception& error) {  // our reader's and the library's complaints alike
    throw Error(ErrorKind::kUnavailable, fmt::format("the server answered nonsense ({}): {}",
                                                     error.what(), response.body.substr(0, kTold)));
  }
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace

std::string token_ids_hash(const std::vector<std::int32_t>& ids) {
  std::string text;
  for (const std::int32_t id : ids) text += fmt::format("{}\n", id);
  return sha256_hex(std::string_view(text));
}

BurstTimes run_burst(net::HttpClient& client, const std::string& prompt, const BurstSettings& burst,
                     const std::function<void()>& before_each, Repeats repeats) {
  BurstTimes times;
  for (std::int64_t i = 0; i < burst.requests; ++i) {
    before_each();
    const auto begin = std::chrono::steady_clock::now();
    const Answer answer = ask(client, prompt, burst.max_tokens);
    times.wall_s.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    if (answer.completion_tokens != burst.max_tokens) {
      throw Error(ErrorKind::kUnavailable,
                  fmt::format("request {} of the burst brought {} tokens, wanted exactly {}: the "
                              "server does not keep "
                              "to ignore_eos and max_tokens",
                              i + 1, answer.completion_tokens, burst.max_tokens));
    }
    if (i > 0 && repeats == Repeats::kMustAgree &&
        answer.token_ids_sha256 != times.token_ids_sha256) {
      throw Error(
          ErrorKind::kUnavailable,
          fmt::format(
              "request {} of the burst brought other tokens than the first, greedily from the same "
              "prompt",
              i + 1));
    }
    if (i == 0) times.token_ids_sha256 = answer.token_ids_sha256;
    times.prompt_tokens = answer.prompt_tokens;
  }
  return times;
}

void warm_up(net::HttpClient& client, const std::string& prompt, std::int64_t tokens,
             std::int64_t max_tokens, const std::function<void()>& before_each) {
  while (tokens > 0) {
    const std::int64_t some = std::min(tokens, max_tokens);
    run_burst(client, prompt, {.requests = 1, .max_tokens = some}, before_each);
    tokens -= some;
  }
}

double wall_ms_per_token(const BurstTimes& longer, std::int64_t longer_tokens,
                         const BurstTimes& shorter, std::int64_t shorter_tokens) {
  return (median(longer.wall_s) - median(shorter.wall_s)) * 1e3 /
         static_cast<double>(longer_tokens - shorter_tokens);
}

}  // namespace nvllm::bench
