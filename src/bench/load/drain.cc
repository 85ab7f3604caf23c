#include "bench/load/drain.h"

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "base/error.h"
#include "bench/load/client_options.h"
#include "net/http_client.h"

namespace nvllm::bench {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPoll{50};
constexpr milliseconds kAnswerTime{2'000};
constexpr std::array<std::string_view, 6> kGauges = {"num_requests_running", "num_requests_waiting",
                                                     "num_running_reqs",     "num_queue_reqs",
                                                     "requests_processing",  "requests_deferred"};

/// The name of a sample without "vllm:" and labels.
std::string_view gauge_name(std::string_view line) {
  line = line.substr(0, line.find_first_of("{ \t"));
  const std::size_t colon = line.rfind(':');
  return colon == std::string_view::npos ? line : line.substr(colon + 1);
}

/// What the page says now; nothing where it cannot be read.
std::optional<double> requests_now(const PostTarget& target, milliseconds time) {
  net::HttpClientOptions options = client_options(target);
  options.connect_time = options.silence_time = time;
  try {
    const net::HttpResponse page = net::HttpClient(target.url, options).get("/metrics");
    return page.status == 200 ? requests_in_server(page.body) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// One token, however the server speaks: any answer shows that it came to our turn.
bool one_token_passes(const PostTarget& target, double max_s) {
  GenerationRequest probe{.fields = {}, .model = {}, .max_tokens = 1};
  probe.fields["prompt"] = "1";
  const ServerFeatures plain{.streaming = false, .stream_usage = false, .token_ids = false, .ignore_eos = false};
  const Generation answer = generate(target, probe, plain, max_s);
  return answer.end == GenerationEnd::kComplete || answer.end == GenerationEnd::kHttpError;
}

}  // namespace

std::optional<double> requests_in_server(std::string_view metrics_page) {
  std::optional<double> sum;
  while (!metrics_page.empty()) {
    const std::size_t end = metrics_page.find('\n');
    const std::string line(metrics_page.substr(0, end));
    metrics_page.remove_prefix(end == std::string_view::npos ? metrics_page.size() : end + 1);
    if (line.empty() || line.front() == '#') continue;
    const std::string_view name = gauge_name(line);
    for (const std::string_view gauge : kGauges) {
      if (name != gauge) continue;
      const std::size_t labels = line.rfind('}');
      const std::size_t value = labels == std::string::npos ? name.data() + name.size() - line.data() : labels + 1;
      sum = sum.value_or(0) + std::strtod(line.c_str() + value, nullptr);
    }
  }
  return sum;
}

Drain wait_until_idle(const PostTarget& target, const ServerFeatures& features,
                      const std::function<std::int64_t()>& others, double max_s) {
  const auto begin = steady_clock::now();
  const auto waited = [&] { return seconds_between(begin, steady_clock::now()); };
  if (!features.metrics) {
    const bool passes = one_token_passes(target, max_s);
    return {.waited_s = waited(), .idle = passes};
  }
  while (true) {
    const auto busy = requests_now(target, kAnswerTime);
    if (busy && *busy <= static_cast<double>(others())) return {.waited_s = waited(), .idle = true};
    if (waited() >= max_s) return {.waited_s = waited(), .idle = false};
    std::this_thread::sleep_for(kPoll);
  }
}

bool answers_at_all(const PostTarget& target) {
  try {
    static_cast<void>(
        net::HttpClient(target.url, {.connect_time = kAnswerTime, .silence_time = kAnswerTime}).get("/health"));
    return true;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kUsage) throw;  // a bad URL is no dead server
    return false;
  }
}

}  // namespace nvllm::bench
