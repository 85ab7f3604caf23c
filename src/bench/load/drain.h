#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "bench/load/generation.h"

namespace nvllm::bench {

/// How long a server took to let go of a cancelled request.
struct Drain {
  double waited_s = 0;
  bool idle = false;  ///< false: it was still busy when the time was over
};

/// Requests running and waiting, from a Prometheus page: vLLM's names (also ours), SGLang's and
/// llama.cpp's, whatever stands before the colon. Nothing where the page has none of them.
std::optional<double> requests_in_server(std::string_view metrics_page);

/// Waits until the server has no more requests than `others()` (those that other threads have there
/// at that moment). Without metrics it waits for the answer of a one-token request.
///   Cost: at most `max_s` and what one poll takes.
[[nodiscard]] Drain wait_until_idle(const PostTarget& target, const ServerFeatures& features,
                                    const std::function<std::int64_t()>& others, double max_s);

/// Whether anything answers there within two seconds.
///   Errors: Error(kUsage) for a bad URL.
[[nodiscard]] bool answers_at_all(const PostTarget& target);

}  // namespace nvllm::bench
