#include "bench/load/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <numeric>
#include <thread>

#include "base/error.h"
#include "base/hashing.h"

namespace nvllm::bench {

namespace {

using std::chrono::steady_clock;

constexpr std::array<const char*, 32> kWords = {"river", "stone", "lamp",  "green", "seven", "paper", "cloud", "train",
                                                "apple", "north", "glass", "music", "chair", "water", "light", "house",
                                                "bread", "field", "night", "horse", "table", "sugar", "metal", "tower",
                                                "plant", "ocean", "clock", "voice", "brick", "coat",  "king",  "snow"};

void check(const LoadOptions& options) {
  const bool rate_ok = !options.rate_per_s || *options.rate_per_s > 0;
  if (options.requests < 1 || options.streams < 1 || options.prompt_words < 1 || options.output_tokens < 1 ||
      !rate_ok || !(options.deadline_s > 0)) {
    throw Error(ErrorKind::kUsage,
                "requests, streams, prompt and output lengths, rate and deadline must be above zero");
  }
}

GenerationRequest request_of(const LoadOptions& options, std::int64_t index) {
  GenerationRequest request{.model = options.model, .max_tokens = options.output_tokens, .until_length = true};
  request.fields["prompt"] = load_prompt(options, index);
  return request;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double deviation_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

void add_latency(const std::string& name, std::vector<double> seconds, LoadResult& result) {
  if (seconds.empty()) return;
  for (double& value : seconds) value *= 1e3;
  std::ranges::sort(seconds);
  result.latencies_ms[fmt::format("mean_{}_ms", name)] = mean_of(seconds);
  result.latencies_ms[fmt::format("std_{}_ms", name)] = deviation_of(seconds);
  for (const auto& [word, p] : {std::pair("median", 50), {"p90", 90}, {"p95", 95}, {"p99", 99}}) {
    result.latencies_ms[fmt::format("{}_{}_ms", word, name)] = *percentile_of(seconds, p);
  }
}

/// The requests of one run, taken by threads in the order of their index.
class Load {
 public:
  Load(const LoadOptions& options, const std::function<void(std::int64_t)>& progress)
      : options_(options),
        progress_(progress),
        due_s_(arrival_times_s(options)),
        records_(static_cast<std::size_t>(options.requests)) {}

  LoadResult run() {
    start_ = steady_clock::now();
    {
      std::vector<std::jthread> threads;
      for (std::int64_t i = 0; i < std::min(options_.streams, options_.requests); ++i) {
        threads.emplace_back([this] { work(); });
      }
    }
    const double duration_s = seconds_between(start_, steady_clock::now());
    return summarize_load(options_.model, std::move(records_), duration_s);
  }

 private:
  void work() {
    for (std::size_t i = next_++; i < records_.size(); i = next_++) {
      const auto due =
          start_ + std::chrono::duration_cast<SteadyTime::duration>(std::chrono::duration<double>(due_s_[i]));
      std::this_thread::sleep_until(due);
      const auto request = request_of(options_, static_cast<std::int64_t>(i));
      records_[i] = load_record(generate(options_.target, request, options_.features, options_.deadline_s));
      if (!progress_) continue;
      const std::lock_guard lock(mutex_);
      progress_(++done_);
    }
  }

  const LoadOptions& options_;
  const std::function<void(std::int64_t)>& progress_;
  const std::vector<double> due_s_;
  std::vector<LoadRequest> records_;
  SteadyTime start_{};
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;
  std::int64_t done_ = 0;
};

}  // namespace

std::vector<double> arrival_times_s(const LoadOptions& options) {
  std::vector<double> times(static_cast<std::size_t>(options.requests), 0.0);
  if (!options.rate_per_s) return times;
  double at = 0;
  for (std::size_t i = 1; i < times.size(); ++i) {
    at -= std::log1p(-random_uniform(options.seed, i)) / *options.rate_per_s;
    times[i] = at;
  }
  return times;
}

std::string load_prompt(const LoadOptions& options, std::int64_t index) {
  std::string prompt;
  for (std::int64_t i = 0; i < options.prompt_words; ++i) {
    const auto counter = static_cast<std::uint64_t>(index) * 1'000'003 + static_cast<std::uint64_t>(i);
    if (i > 0) prompt += ' ';
    prompt += kWords[random_bits(options.seed, counter) % kWords.size()];
  }
  return prompt;
}

std::optional<std::int64_t> words_for_tokens(const LoadOptions& options, std::int64_t prompt_tokens) {
  constexpr std::int64_t kFew = 32, kMany = 160;
  const auto tokens_of = [&](std::int64_t words) {
    LoadOptions one = options;
    one.prompt_words = words;
    one.output_tokens = 1;
    const Generation answer = generate(one.target, request_of(one, 0), one.features, one.deadline_s);
    return answer.end == GenerationEnd::kComplete ? answer.prompt_tokens : 0;
  };
  const std::int64_t few = tokens_of(kFew), many = tokens_of(kMany);
  if (few == 0 || many <= few) return std::nullopt;
  const double per_word = static_cast<double>(many - few) / static_cast<double>(kMany - kFew);
  const double words = kFew + static_cast<double>(prompt_tokens - few) / per_word;
  return std::max<std::int64_t>(1, std::llround(words));
}

LoadRequest load_record(const Generation& answer) {
  LoadRequest record;
  record.prompt_tokens = answer.prompt_tokens;
  record.output_tokens = answer.completion_tokens;
  if (answer.end != GenerationEnd::kComplete) {
    record.error = answer.error.empty() ? "no complete answer" : answer.error;
    return record;
  }
  record.ttft_s = answer.ttft_s();
  record.latency_s = answer.arrivals_s.empty() ? answer.wall_s : answer.arrivals_s.back();
  record.itl_s = answer.itl_s();
  return record;
}

LoadResult summarize_load(const std::string& model, std::vector<LoadRequest> requests, double duration_s) {
  LoadResult result{.model = model, .duration_s = duration_s, .latencies_ms = {}, .requests = std::move(requests)};
  std::vector<double> ttft, tpot, itl, e2el;
  for (const LoadRequest& one : result.requests) {
    if (!one.error.empty()) {
      ++result.failed;
      continue;
    }
    ++result.completed;
    result.prompt_tokens += one.prompt_tokens;
    result.output_tokens += one.output_tokens;
    itl.insert(itl.end(), one.itl_s.begin(), one.itl_s.end());
    if (one.latency_s) e2el.push_back(*one.latency_s);
    if (!one.ttft_s) continue;
    ttft.push_back(*one.ttft_s);
    if (one.output_tokens > 1) {
      tpot.push_back((*one.latency_s - *one.ttft_s) / static_cast<double>(one.output_tokens - 1));
    }
  }
  add_latency("ttft", std::move(ttft), result);
  add_latency("tpot", std::move(tpot), result);
  add_latency("itl", std::move(itl), result);
  add_latency("e2el", std::move(e2el), result);
  if (duration_s > 0) {
    result.requests_per_s = static_cast<double>(result.completed) / duration_s;
    result.output_tokens_per_s = static_cast<double>(result.output_tokens) / duration_s;
  }
  return result;
}

LoadResult run_load(const LoadOptions& options, const std::function<void(std::int64_t)>& progress) {
  check(options);
  LoadResult result = Load(options, progress).run();
  result.settings["backend"] = "openai";
  result.settings["num_prompts"] = options.requests;
  result.settings["request_rate"] = options.rate_per_s ? Json(*options.rate_per_s) : Json("inf");
  result.settings["burstiness"] = 1.0;
  result.settings["max_concurrency"] = options.streams;
  result.settings["seed"] = options.seed;
  result.settings["prompt_words"] = options.prompt_words;
  result.settings["output_tokens_wanted"] = options.output_tokens;
  return result;
}

Json vllm_bench_json(const LoadResult& result) {
  Json json = result.settings;
  json["model_id"] = result.model;
  json["duration"] = result.duration_s;
  json["completed"] = result.completed;
  json["failed"] = result.failed;
  json["total_input_tokens"] = result.prompt_tokens;
  json["total_output_tokens"] = result.output_tokens;
  json["request_throughput"] = result.requests_per_s;
  json["output_throughput"] = result.output_tokens_per_s;
  if (result.duration_s > 0) {
    json["total_token_throughput"] =
        static_cast<double>(result.prompt_tokens + result.output_tokens) / result.duration_s;
  }
  for (const auto& [name, value] : result.latencies_ms) json[name] = value;
  for (const char* name : {"input_lens", "output_lens", "ttfts", "itls", "latencies", "errors"})
    json[name] = Json::array();
  const auto or_null = [](const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); };
  for (const LoadRequest& one : result.requests) {
    json["input_lens"].push_back(one.prompt_tokens);
    json["output_lens"].push_back(one.output_tokens);
    json["ttfts"].push_back(or_null(one.ttft_s));
    json["itls"].push_back(one.itl_s);
    json["latencies"].push_back(or_null(one.latency_s));
    json["errors"].push_back(one.error);
  }
  return json;
}

std::string load_summary(const LoadResult& result) {
  std::string text = fmt::format(
      "{} completed, {} failed in {:.2f} s\n{} prompt tokens, {} output tokens\n{:.2f} requests/s, {:.1f} output "
      "tokens/s\n",
      result.completed, result.failed, result.duration_s, result.prompt_tokens, result.output_tokens,
      result.requests_per_s, result.output_tokens_per_s);
  if (result.latencies_ms.empty()) return text;
  text += fmt::format("{:<28}{:>12}{:>12}{:>12}{:>12}\n", "ms", "mean", "median", "p95", "p99");
  constexpr std::array<std::pair<const char*, const char*>, 4> kRows = {
      {{"ttft", "first token"}, {"tpot", "per output token"}, {"itl", "between tokens"}, {"e2el", "whole request"}}};
  for (const auto& [name, title] : kRows) {
    if (!result.latencies_ms.contains(fmt::format("mean_{}_ms", name))) continue;
    text += fmt::format("{:<28}", title);
    for (const char* word : {"mean", "median", "p95", "p99"}) {
      const auto found = result.latencies_ms.find(fmt::format("{}_{}_ms", word, name));
      text += found == result.latencies_ms.end() ? fmt::format("{:>12}", "-") : fmt::format("{:>12.3f}", found->second);
    }
    text += '\n';
  }
  return text;
}

}  // namespace nvllm::bench
