#pragma once

// Load from outside: streams that each send one request after the other, or requests that arrive at
// a rate. One thread per stream; every token is stamped as its bytes arrive.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/load/generation.h"
#include "bench/records/load.h"

namespace nvllm::bench {

/// What is sent, and when.
struct LoadOptions {
  PostTarget target;
  std::string model;
  ServerFeatures features;
  std::int64_t requests = 100;
  std::int64_t streams = 8;  ///< at most so many requests at once
  /// Mean arrivals per second, with exponential gaps; nothing: the next request of a stream follows
  /// its last one.
  std::optional<double> rate_per_s;
  std::int64_t prompt_words = 64, output_tokens = 64;
  std::uint64_t seed = 42;
  double deadline_s = 600;  ///< of one request
};

/// When each request is due, in seconds after the start: all zero without a rate.
std::vector<double> arrival_times_s(const LoadOptions& options);

/// The prompt of a request: words drawn by (seed, index), so that no two share a long beginning.
std::string load_prompt(const LoadOptions& options, std::int64_t index);

/// Words that make about so many tokens on that server, by the usage of two prompts; nothing where
/// the server does not count.
std::optional<std::int64_t> words_for_tokens(const LoadOptions& options, std::int64_t prompt_tokens);

/// Sends all requests.
///   Returns: counts, rates and the single requests in the order of their index; latencies_ms with
///            mean, median, std, p90, p95, p99 of ttft, tpot, itl and e2el.
///   Errors:  Error(kUsage) for impossible options; a failed request is only its record's error.
LoadResult run_load(const LoadOptions& options, const std::function<void(std::int64_t done)>& progress = {});

/// One request's record.
LoadRequest load_record(const Generation& answer);

/// Counts, rates and latencies of requests that took `duration_s` together.
LoadResult summarize_load(const std::string& model, std::vector<LoadRequest> requests, double duration_s);

/// The JSON that `vllm bench serve --save-detailed` writes; import_vllm_bench reads it back.
Json vllm_bench_json(const LoadResult& result);

/// "requests, tokens/s, TTFT, TPOT, ITL" for people.
std::string load_summary(const LoadResult& result);

}  // namespace nvllm::bench
