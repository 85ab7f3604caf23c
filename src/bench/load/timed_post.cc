#include "bench/load/timed_post.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <utility>

#include "base/error.h"
#include "net/http_client.h"
#include "net/http_parser.h"
#include "net/server_sent_events.h"

namespace nvllm::bench {

namespace {

constexpr std::int64_t kBodyBytesMax = 64ll << 20;

struct Authority {
  std::string host, port = "80", prefix;
};

Authority authority_of(const std::string& url) {
  const net::HttpClient checked(url);  // refuses everything that is not well-formed
  std::string_view rest = std::string_view(url).substr(std::string_view("http://").size());
  const std::string_view whole = rest.substr(0, rest.find('/'));
  rest.remove_prefix(whole.size());
  while (rest.ends_with('/')) rest.remove_suffix(1);
  Authority out{.host = std::string(whole), .prefix = std::string(rest)};
  const std::size_t bracket = whole.starts_with('[') ? whole.find(']') : 0;
  if (const std::size_t colon = whole.find(':', bracket); colon != std::string_view::npos) {
    out.port = std::string(whole.substr(colon + 1));
    out.host = std::string(whole.substr(0, colon));
  }
  if (bracket > 0) out.host = out.host.substr(1, bracket - 1);
  return out;
}

/// A descriptor that closes itself; closing is how a server is told to stop.
class Connection {
 public:
  Connection() = default;
  explicit Connection(int descriptor) : descriptor_(descriptor) {}
  Connection(Connection&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Connection& operator=(Connection&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Connection() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

/// Whether the descriptor is ready before the deadline.
bool ready_before(int descriptor, short events, SteadyTime deadline) {
  pollfd entry{.fd = descriptor, .events = events, .revents = 0};
  while (true) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= SteadyTime::duration::zero()) return false;
    const timespec wait{.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(left).count(),
                        .tv_nsec = (left % std::chrono::seconds(1)).count()};
    const int ready = ::ppoll(&entry, 1, &wait, nullptr);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return true;  // the call that follows says what is wrong
  }
}

/// One exchange; its steps fill in the result and say whether to go on.
class Post {
 public:
  Post(const Authority& authority, SteadyTime deadline) : authority_(authority), deadline_(deadline) {
    result_.sent = std::chrono::steady_clock::now();
  }

  PostResult run(std::string_view request, const OnTimedEvent& on_event) {
    if (connect() && send(request)) receive(on_event);
    connection_ = {};
    result_.done = std::chrono::steady_clock::now();
    return std::move(result_);
  }

 private:
  bool over(PostEnd end, std::string error) {
    result_.end = end;
    result_.error = std::move(error);
    return false;
  }
  bool too_late() {
    return over(PostEnd::kDeadline,
                fmt::format("no complete answer within {:.3f} s", seconds_between(result_.sent, deadline_)));
  }

  bool connect() {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int code = ::getaddrinfo(authority_.host.c_str(), authority_.port.c_str(), &hints, &found);
    if (code != 0) return over(PostEnd::kRefused, fmt::format("unknown host: {}", ::gai_strerror(code)));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
    int fault = EADDRNOTAVAIL;
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
      connection_ = Connection(::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      fault = ::connect(connection_.get(), one->ai_addr, one->ai_addrlen) == 0 ? 0 : errno;
      if (fault == EINPROGRESS) {
        if (!ready_before(connection_.get(), POLLOUT, deadline_)) return too_late();
        socklen_t size = sizeof fault;
        ::getsockopt(connection_.get(), SOL_SOCKET, SO_ERROR, &fault, &size);
      }
      if (fault != 0) continue;
      const int on = 1;
      ::setsockopt(connection_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return true;
    }
    return over(PostEnd::kRefused, fmt::format("cannot connect: {}", std::strerror(fault)));
  }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(count));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        if (!ready_before(connection_.get(), POLLOUT, deadline_)) return too_late();
      } else if (errno == EPIPE || errno == ECONNRESET) {
        return true;  // it may have answered before it closed
      } else if (errno != EINTR) {
        return over(PostEnd::kBroke, fmt::format("cannot send: {}", std::strerror(errno)));
      }
    }
    return true;
  }

  void receive(const OnTimedEvent& on_event) {
    net::ResponseParser parser(kBodyBytesMax);
    net::SseReader events;
    const auto space = std::make_unique<std::array<char, 65536>>();
    try {
      while (!parser.done()) {
        if (!ready_before(connection_.get(), POLLIN, deadline_)) {
          too_late();
          return;
        }
        const ssize_t count = ::recv(connection_.get(), space->data(), space->size(), 0);
        const SteadyTime at = std::chrono::steady_clock::now();
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (count <= 0) {
          if (!parser.head_done()) throw Error(ErrorKind::kUnavailable, "closed without an answer");
          parser.feed_end();
          break;
        }
        take(parser, events, parser.feed({space->data(), static_cast<std::size_t>(count)}), at, on_event);
      }
      result_.end = PostEnd::kComplete;
    } catch (const Error& error) {
      over(PostEnd::kBroke, error.what());
    }
  }

  void take(const net::ResponseParser& parser, net::SseReader& events, const std::string& bytes, SteadyTime at,
            const OnTimedEvent& on_event) {
    if (!parser.head_done()) return;
    result_.status = parser.head().status;
    if (result_.status == 200 && parser.head().content_type.starts_with("text/event-stream")) {
      events.feed(bytes, [&](std::string_view data) { on_event(data, at); });
    } else {
      result_.body += bytes;
    }
  }

  const Authority& authority_;
  SteadyTime deadline_;
  Connection connection_;
  PostResult result_;
};

}  // namespace

PostResult timed_post(const PostTarget& target, std::string_view path, std::string_view json_body, SteadyTime deadline,
                      const OnTimedEvent& on_event) {
  const Authority authority = authority_of(target.url);
  const bool v6 = authority.host.find(':') != std::string::npos;
  const std::string request = fmt::format(
      "POST {}{} HTTP/1.1\r\nHost: {}:{}\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      authority.prefix, path, v6 ? "[" + authority.host + "]" : authority.host, authority.port,
      target.api_key.empty() ? "" : fmt::format("Authorization: Bearer {}\r\n", target.api_key), json_body.size(),
      json_body);
  return Post(authority, deadline).run(request, on_event);
}

}  // namespace nvllm::bench
