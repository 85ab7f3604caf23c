#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace nvllm::bench {

/// One request of a load run.
struct LoadRequest {
  std::int64_t prompt_tokens = 0, output_tokens = 0;
  std::optional<double> ttft_s;     ///< empty where the request failed
  std::optional<double> latency_s;  ///< from sending to the last token
  std::vector<double> itl_s;        ///< between tokens, as they arrived
  std::string error;                ///< not empty: failed
};

/// What a load generator measured against a server.
struct LoadResult {
  std::string model;
  std::int64_t completed = 0, failed = 0;
  std::int64_t prompt_tokens = 0, output_tokens = 0;
  double duration_s = 0;
  double requests_per_s = 0, output_tokens_per_s = 0;
  std::map<std::string, double> latencies_ms;  ///< "mean_ttft_ms", "p99_itl_ms", ... as the source names them
  std::vector<LoadRequest> requests;           ///< empty where the source keeps none
  Json settings = Json::object();              ///< every other plain field of the source
};

}  // namespace nvllm::bench
