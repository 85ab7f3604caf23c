#pragma once

// One generation over the OpenAI API, measured from outside: the client's side of every verb that
// drives a server, ours or another's.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "bench/load/timed_post.h"

namespace nvllm::bench {

/// What may be asked of a server beyond the plain API. A server that refuses a field it does not
/// know is driven without it.
struct ServerFeatures {
  bool streaming = true;
  bool stream_usage = true;  ///< stream_options.include_usage
  bool token_ids = true;     ///< return_token_ids
  bool ignore_eos = true;
  bool metrics = true;  ///< GET /metrics, with the number of requests running and waiting
};

/// How a generation ended.
enum class GenerationEnd {
  kComplete,
  kDeadline,   ///< cancelled by closing the connection
  kHttpError,  ///< another status than 200, or an answer that is not the API's
  kLost,       ///< no connection, or it broke
};

/// What came back, whole or in part.
struct Generation {
  GenerationEnd end = GenerationEnd::kLost;
  int status = 0;
  std::string error;  ///< in words; empty for kComplete
  std::string text, finish_reason, request_id;
  std::vector<std::int32_t> token_ids;  ///< empty where the server does not report them
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;  ///< by usage; else the token ids; else the events with text
  bool counted_by_server = false;      ///< usage or token ids, not events
  SteadyTime begin{};                  ///< before connecting
  double wall_s = 0;                   ///< from `begin` to the last byte
  std::vector<double> arrivals_s;      ///< of each event that brought text or tokens, since `begin`

  std::optional<double> ttft_s() const;
  std::vector<double> itl_s() const;  ///< between arrivals
};

/// The body of a request: `fields` (prompt or messages, stop) and what the features allow. Greedy.
struct GenerationRequest {
  std::string_view endpoint = "/v1/completions";
  Json fields{};
  std::string model{};  ///< empty: left out
  std::int64_t max_tokens = 16;
  bool until_length = false;  ///< ignore_eos, where the server can
};

/// The JSON that is sent.
std::string request_body(const GenerationRequest& request, const ServerFeatures& features);

/// Posts it and waits for the end or the deadline.
[[nodiscard]] Generation generate(const PostTarget& target, const GenerationRequest& request,
                                  const ServerFeatures& features, double deadline_s);

/// The p-th percentile (0 to 100) of values in any order, between neighbours by linear
/// interpolation; nothing without values.
std::optional<double> percentile_of(std::vector<double> values, double p);

}  // namespace nvllm::bench
