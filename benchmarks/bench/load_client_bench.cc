// What the load client itself costs:  bench_load_client [STREAMS] [STEP_MS] [TOKENS]
// A server in this process writes one fixed event to every stream at each step, all at once as an
// engine does, with the moment of writing in its text. The client stamps what arrives. Both share
// the machine's cores, so the figures are above what a client beside a GPU server would show.

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "bench/load/generation.h"
#include "bench/load/load.h"

namespace {

using namespace nvllm::bench;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kStampDigits = 20;

std::int64_t ns_of(Clock::time_point time) { return time.time_since_epoch().count(); }

double cpu_s(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::string chunk(const std::string& bytes) { return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes); }

std::string token_event(std::int64_t stamp) {
  return chunk(
      fmt::format("data: {{\"id\":\"cmpl-0\",\"object\":\"text_completion\",\"created\":1,\"model\":\"null\","
                  "\"choices\":[{{\"index\":0,\"text\":\"{:020}\",\"logprobs\":null,\"finish_reason\":null,"
                  "\"stop_reason\":null,\"token_ids\":[1234]}}]}}\n\n",
                  stamp));
}

/// Serves `streams` connections, then the next `streams`, until its time is over.
class NullServer {
 public:
  NullServer(std::int64_t streams, std::int64_t tokens, std::chrono::microseconds step)
      : streams_(streams), tokens_(tokens), step_(step), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 1024) != 0)
      std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~NullServer() {
    thread_.join();
    ::close(listener_);
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  /// After the streams have ended.
  double cpu() {
    thread_.join();
    thread_ = std::thread([] {});
    return cpu_s_;
  }

 private:
  static void write(int fd, const std::string& bytes) {
    if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) std::abort();
  }

  void serve() {
    std::vector<int> clients;
    for (std::int64_t i = 0; i < streams_; ++i) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      char space[65536];
      std::string request;
      while (request.find("}") == std::string::npos)
        request.append(space, static_cast<std::size_t>(::recv(fd, space, sizeof space, 0)));
      clients.push_back(fd);
    }
    const double before = cpu_s(CLOCK_THREAD_CPUTIME_ID);
    for (const int fd : clients) {
      write(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    }
    auto due = Clock::now();
    for (std::int64_t i = 0; i < tokens_; ++i) {
      due += step_;
      std::this_thread::sleep_until(due);
      for (const int fd : clients) write(fd, token_event(ns_of(Clock::now())));
    }
    for (const int fd : clients) {
      write(fd, chunk("data: [DONE]\n\n") + "0\r\n\r\n");
      ::close(fd);
    }
    cpu_s_ = cpu_s(CLOCK_THREAD_CPUTIME_ID) - before;
  }

  const std::int64_t streams_, tokens_;
  const std::chrono::microseconds step_;
  int listener_;
  std::uint16_t port_ = 0;
  double cpu_s_ = 0;
  std::thread thread_;
};

/// Seconds from the server's write to the client's stamp, of every token of one stream.
std::vector<double> delays_of(const std::string& url, std::int64_t tokens) {
  GenerationRequest request{.max_tokens = tokens};
  request.fields["prompt"] = "x";
  const Generation answer = generate({.url = url, .api_key = ""}, request, {}, 600);
  if (answer.end != GenerationEnd::kComplete || static_cast<std::int64_t>(answer.arrivals_s.size()) != tokens) {
    fmt::print(stderr, "a stream failed: {}\n", answer.error);
    std::exit(1);
  }
  std::vector<double> delays;
  for (std::size_t i = 0; i < answer.arrivals_s.size(); ++i) {
    std::int64_t sent = 0;
    const char* at = answer.text.data() + i * kStampDigits;
    while (*at == '0') ++at;
    std::from_chars(at, answer.text.data() + (i + 1) * kStampDigits, sent);
    delays.push_back(answer.arrivals_s[i] - 1e-9 * static_cast<double>(sent - ns_of(answer.begin)));
  }
  return delays;
}

void paced(std::int64_t streams, std::int64_t tokens, std::chrono::microseconds step) {
  NullServer server(streams, tokens, step);
  std::vector<std::vector<double>> all(static_cast<std::size_t>(streams));
  const double before = cpu_s(CLOCK_PROCESS_CPUTIME_ID);
  {
    std::vector<std::jthread> clients;
    for (auto& delays : all) clients.emplace_back([&, tokens] { delays = delays_of(server.url(), tokens); });
  }
  const double client_cpu = cpu_s(CLOCK_PROCESS_CPUTIME_ID) - before - server.cpu();
  std::vector<double> delays;
  for (const auto& one : all) delays.insert(delays.end(), one.begin(), one.end());
  double sum = 0;
  for (const double one : delays) sum += one;
  const auto count = static_cast<double>(delays.size());
  fmt::print("{} streams, a token each every {:.1f} ms, {} tokens\n", streams, 1e-3 * static_cast<double>(step.count()),
             delays.size());
  fmt::print("  from the server's write to the client's stamp: mean {:.4f} ms, p50 {:.4f}, p99 {:.4f}, max {:.4f}\n",
             1e3 * sum / count, 1e3 * *percentile_of(delays, 50), 1e3 * *percentile_of(delays, 99),
             1e3 * *percentile_of(delays, 100));
  fmt::print("  the client's processor time: {:.4f} ms a token\n", 1e3 * client_cpu / count);
}

void unpaced(std::int64_t streams, std::int64_t tokens) {
  NullServer server(streams, tokens, std::chrono::microseconds(0));
  LoadOptions options;
  options.target.url = server.url();
  options.requests = options.streams = streams;
  options.output_tokens = tokens;
  const LoadResult result = run_load(options);
  fmt::print("{} streams, as fast as it goes: {:.0f} tokens/s in all, {:.4f} ms of wall time a token\n", streams,
             result.output_tokens_per_s, 1e3 / result.output_tokens_per_s);
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t streams = argc > 1 ? std::atoll(argv[1]) : 64;
  const double step_ms = argc > 2 ? std::atof(argv[2]) : 25;
  const std::int64_t tokens = argc > 3 ? std::atoll(argv[3]) : 200;
  if (streams < 1 || tokens < 1 || step_ms < 0) return 2;
  paced(streams, tokens, std::chrono::microseconds(static_cast<std::int64_t>(step_ms * 1e3)));
  unpaced(streams, tokens);
}
