#pragma once

#include "bench/load/timed_post.h"
#include "net/http_client.h"

namespace nvllm::bench {

/// How a client speaks to a target: with its key, where it has one.
inline net::HttpClientOptions client_options(const PostTarget& target) {
  net::HttpClientOptions options;
  if (!target.api_key.empty()) options.headers.push_back({"Authorization", "Bearer " + target.api_key});
  return options;
}

}  // namespace nvllm::bench
