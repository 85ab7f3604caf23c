#include "bench/run/burst.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/hashing.h"

namespace nvllm::bench {

namespace {

template <class T>
double median(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  const auto at = [&](std::size_t i) { return static_cast<double>(values[i]); };
  return values.size() % 2 == 1 ? at(half) : (at(half - 1) + at(half)) / 2;
}

/// One answer of the burst, refused if it is none or of another length.
Generation ask(const BurstTarget& to, const std::string& prompt, std::int64_t max_tokens,
               std::int64_t number) {
  GenerationRequest request{.model = to.model, .max_tokens = max_tokens, .until_length = true};
  request.fields["prompt"] = prompt;
  Generation answer = generate(to.target, request, to.features, to.deadline_s);
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::kUnavailable, fmt::format("request {} of the burst {}", number, why));
  };
  if (answer.end != GenerationEnd::kComplete) refuse(fmt::format("failed: {}", answer.error));
  if (!answer.counted_by_server && answer.completion_tokens == 0) {
    refuse(
        "brought an answer whose tokens nobody counts: neither usage, nor token ids, nor events");
  }
  if (to.features.ignore_eos && answer.completion_tokens != max_tokens) {
    refuse(
        fmt::format("brought {} tokens, wanted exactly {}: the server does not keep to "
                    "ignore_eos and max_tokens",
                    answer.completion_tokens, max_tokens));
  }
  return answer;
}

}  // namespace

std::string token_ids_hash(const std::vector<std::int32_t>& ids) {
  std::string text;
  for (const std::int32_t id : ids) text += fmt::format("{}\n", id);
  return sha256_hex(std::string_view(text));
}

BurstTimes run_burst(const BurstTarget& target, const std::string& prompt,
                     const BurstSettings& burst, const std::function<void()>& before_each) {
  BurstTimes times;
  std::string first;
  for (std::int64_t i = 0; i < burst.requests; ++i) {
    before_each();
    const Generation answer = ask(target, prompt, burst.max_tokens, i + 1);
    times.wall_s.push_back(answer.wall_s);
    times.tokens.push_back(answer.completion_tokens);
    times.prompt_tokens = answer.prompt_tokens;
    const std::string ids = answer.token_ids.empty() ? "" : token_ids_hash(answer.token_ids);
    const std::string said = ids.empty() ? answer.text : ids;
    if (i == 0) {
      times.token_ids_sha256 = ids;
      first = said;
    }
    times.other_answers += said != first;
  }
  return times;
}

void warm_up(const BurstTarget& target, const std::string& prompt, std::int64_t tokens,
             std::int64_t max_tokens, const std::function<void()>& before_each) {
  while (tokens > 0) {
    const std::int64_t some = std::min(tokens, max_tokens);
    run_burst(target, prompt, {.requests = 1, .max_tokens = some}, before_each);
    tokens -= some;
  }
}

std::optional<double> wall_ms_per_token(const BurstTimes& longer, const BurstTimes& shorter) {
  const double more = median(longer.tokens) - median(shorter.tokens);
  if (more < 1) return std::nullopt;
  return (median(longer.wall_s) - median(shorter.wall_s)) * 1e3 / more;
}

}  // namespace nvllm::bench
