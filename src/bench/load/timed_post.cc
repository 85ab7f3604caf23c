#include "bench/load/timed_post.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "bench/load/client_options.h"
#include "net/http_client.h"
#include "net/server_sent_events.h"

namespace nvllm::bench {

namespace {

/// The deadline is the only limit.
constexpr std::chrono::hours kNever{24 * 365};

net::HttpClientOptions options_for(const PostTarget& target) {
  net::HttpClientOptions options = client_options(target);
  options.connect_time = options.silence_time = kNever;
  options.headers.push_back({"Connection", "close"});
  return options;
}

PostEnd end_of(net::ExchangeEnd end) {
  switch (end) {
    case net::ExchangeEnd::kComplete:
      return PostEnd::kComplete;
    case net::ExchangeEnd::kDeadline:
      return PostEnd::kDeadline;
    case net::ExchangeEnd::kRefused:
      return PostEnd::kRefused;
    case net::ExchangeEnd::kBroke:
      break;
  }
  return PostEnd::kBroke;
}

}  // namespace

PostResult timed_post(const PostTarget& target, std::string_view path, std::string_view json_body, SteadyTime deadline,
                      const OnTimedEvent& on_event) {
  PostResult result;
  net::SseReader events;
  net::HttpClient client(target.url, options_for(target));
  result.sent = std::chrono::steady_clock::now();
  const net::TimedExchange exchange = client.post_before(
      path, json_body, deadline, [&](const net::HttpResponse& head, std::string_view bytes, SteadyTime at) {
        if (head.status == 200 && head.content_type.starts_with("text/event-stream")) {
          events.feed(bytes, [&](std::string_view data) { on_event(data, at); });
        } else {
          result.body += bytes;
        }
      });
  result.done = std::chrono::steady_clock::now();
  result.end = end_of(exchange.end);
  result.status = exchange.head.status;
  result.error = exchange.error;
  if (result.end == PostEnd::kDeadline) {
    result.error = fmt::format("no complete answer within {:.3f} s", seconds_between(result.sent, deadline));
  }
  return result;
}

}  // namespace nvllm::bench
