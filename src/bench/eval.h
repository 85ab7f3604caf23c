#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/problems.h"

namespace nvllm::bench {

/// How a set of problems is put to a server.
struct EvalOptions {
  std::string url;
  ProblemFormat format = ProblemFormat::kCompletion;
  std::int64_t concurrency = 8;
  std::int64_t max_tokens = 300;
  std::string api_key;
};

/// What came back for one problem.
struct EvalAnswer {
  std::string text;
  std::vector<std::int32_t> token_ids;  ///< empty where the server does not report them
  std::string finish_reason;
  std::int64_t completion_tokens = 0;
  bool right = false;
  std::string error;  ///< not empty: neither right nor wrong
};

struct EvalResult {
  std::vector<EvalAnswer> answers;  ///< in the order of the problems
  double seconds = 0;

  std::int64_t right() const;
  std::int64_t failed() const;
  std::int64_t completion_tokens() const;
};

/// Puts every problem to a running server, greedily, with several requests in flight.
///   Errors: Error(kUnavailable) if the server cannot be reached at all; one failed request is only
///           that answer's error.
EvalResult evaluate(const std::vector<Problem>& problems, const EvalOptions& options,
                    const std::function<void(std::int64_t done)>& progress = {});

}  // namespace nvllm::bench
