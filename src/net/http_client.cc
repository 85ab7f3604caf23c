// Plain blocking sockets with poll for the time limits: a client that does one thing at a time
// needs no event loop.
#include "net/http_client.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>

#include "base/error.h"
#include "net/http_parser.h"
#include "net/server_sent_events.h"

namespace nvllm::net {
namespace {

/// A socket descriptor that closes itself.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  int get() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

 private:
  int descriptor_ = -1;
};

struct Url {
  std::string host;
  std::string port = "80";
  std::string prefix;
};

Url parse_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  const auto refuse = [&](const char* why) {
    return Error(ErrorKind::kUsage, "bad URL \"" + std::string(text) + "\": " + why);
  };
  if (!text.starts_with(kScheme)) throw refuse("it must begin with http://");
  std::string_view rest = text.substr(kScheme.size());
  const std::string_view authority = rest.substr(0, rest.find('/'));
  rest.remove_prefix(authority.size());
  while (rest.ends_with('/')) rest.remove_suffix(1);
  Url url;
  url.prefix = std::string(rest);
  const bool bracketed = authority.starts_with('[');
  const std::size_t name_end = bracketed ? authority.find(']') : authority.find(':');
  if (bracketed && name_end == std::string_view::npos) throw refuse("']' is missing");
  url.host =
      std::string(bracketed ? authority.substr(1, name_end - 1) : authority.substr(0, name_end));
  const std::size_t colon = authority.find(':', bracketed ? name_end : 0);
  if (colon != std::string_view::npos) url.port = std::string(authority.substr(colon + 1));
  unsigned port = 0;
  const auto [end, error] =
      std::from_chars(url.port.data(), url.port.data() + url.port.size(), port);
  if (error != std::errc() || end != url.port.data() + url.port.size() || port == 0 ||
      port > 65535) {
    throw refuse("the port is not a number from 1 to 65535");
  }
  if (url.host.empty()) throw refuse("the host is missing");
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20)
      throw refuse("it holds a space or control character");
  }
  return url;
}

/// Thrown inside this file only: a kept connection turned out to be closed before any answer.
struct StaleConnection {};
/// Thrown inside this file only: the deadline of the whole exchange has come.
struct DeadlinePassed {};

using TimePoint = std::chrono::steady_clock::time_point;

}  // namespace

struct HttpClient::Impl {
  Impl(std::string_view base_url, HttpClientOptions client_options)
      : url(parse_url(base_url)), options(std::move(client_options)) {}

  Error failure(const std::string& what) const {
    return Error(ErrorKind::kUnavailable, url.host + ":" + url.port + ": " + what);
  }

  void connect() {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int code = ::getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
    if (code != 0) throw failure(std::string("unknown host: ") + ::gai_strerror(code));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
    std::string reason = "no address";
    for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
      Socket candidate(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (!candidate.is_open()) continue;
      int error = 0;
      if (::connect(candidate.get(), address->ai_addr, address->ai_addrlen) != 0) error = errno;
      if (error == EINPROGRESS) {
        wait_for(candidate.get(), POLLOUT, options.connect_time, "no connection");
        socklen_t size = sizeof error;
        ::getsockopt(candidate.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      }
      if (error == 0) {
        const int on = 1;
        ::setsockopt(candidate.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        socket = std::move(candidate);
        reached = true;
        return;
      }
      reason = std::strerror(error);
    }
    throw failure("cannot connect: " + reason);
  }

  /// Waits for the descriptor, for so long and not beyond the exchange's deadline.
  void wait_for(int descriptor, short events, std::chrono::milliseconds time, const char* what) {
    pollfd entry{.fd = descriptor, .events = events, .revents = 0};
    const TimePoint silent = std::chrono::steady_clock::now() + time;
    const TimePoint end = deadline ? std::min(*deadline, silent) : silent;
    while (true) {
      const auto left =
          std::max(TimePoint::duration::zero(), end - std::chrono::steady_clock::now());
      const timespec wait{.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(left).count(),
                          .tv_nsec = (left % std::chrono::seconds(1)).count()};
      const int ready = ::ppoll(&entry, 1, &wait, nullptr);
      if (ready > 0) return;
      if (ready < 0 && errno == EINTR) continue;
      if (deadline && std::chrono::steady_clock::now() >= *deadline) throw DeadlinePassed{};
      throw failure(std::string(what) + " within " + std::to_string(time.count()) + " ms");
    }
  }

  void write_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(count));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wait_for(socket.get(), POLLOUT, options.silence_time, "the server took no bytes");
      } else if (errno == EPIPE || errno == ECONNRESET) {
        return;  // the server may have answered before it closed: read that first
      } else if (errno != EINTR) {
        throw failure(std::string("cannot send: ") + std::strerror(errno));
      }
    }
  }

  /// The next bytes; empty when the server closed.
  std::string_view read_some(std::array<char, 65536>& space) {
    while (true) {
      const ssize_t count = ::recv(socket.get(), space.data(), space.size(), 0);
      if (count >= 0) return {space.data(), static_cast<std::size_t>(count)};
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wait_for(socket.get(), POLLIN, options.silence_time, "no answer");
      } else if (errno == ECONNRESET) {
        return {};
      } else if (errno != EINTR) {
        throw failure(std::string("cannot receive: ") + std::strerror(errno));
      }
    }
  }

  std::string write_request(std::string_view method, std::string_view path,
                            std::string_view body) const {
    const bool v6 = url.host.find(':') != std::string::npos;
    std::string out;
    out.append(method).append(" ").append(url.prefix).append(path).append(" HTTP/1.1\r\nHost: ");
    out.append(v6 ? "[" + url.host + "]" : url.host).append(":").append(url.port).append("\r\n");
    for (const HeaderField& field : options.headers) {
      out.append(field.name).append(": ").append(field.value).append("\r\n");
    }
    if (!body.empty() || method == "POST") {
      out.append("Content-Type: application/json\r\nContent-Length: ");
      out.append(std::to_string(body.size())).append("\r\n");
    }
    return out.append("\r\n").append(body);
  }

  using Sink = std::function<Wanted(const ResponseParser&, std::string_view, TimePoint)>;

  HttpResponse run_once(std::string_view request, const Sink& sink, bool kept) {
    write_all(request);
    ResponseParser parser(options.body_bytes_max);
    std::array<char, 65536> space;
    bool heard = false;
    while (!parser.done()) {
      // A server that never falls silent is never waited for.
      if (deadline && std::chrono::steady_clock::now() >= *deadline) throw DeadlinePassed{};
      const std::string_view bytes = read_some(space);
      const TimePoint at = std::chrono::steady_clock::now();
      if (bytes.empty()) {
        if (!heard && kept) throw StaleConnection{};
        if (!heard) throw failure("the server closed the connection without an answer");
        parser.feed_end();
        socket.close();
        break;
      }
      heard = true;
      if (sink(parser, parser.feed(bytes), at) == Wanted::kNoMore) {
        socket.close();
        return parser.head();
      }
    }
    HttpResponse head = parser.head();
    if (!parser.keep_alive()) socket.close();
    return head;
  }

  HttpResponse run(std::string_view method, std::string_view path, std::string_view body,
                   const Sink& sink) {
    const std::string request = write_request(method, path, body);
    try {
      const bool kept = socket.is_open();
      reached = kept;
      if (!kept) connect();
      try {
        return run_once(request, sink, kept);
      } catch (const StaleConnection&) {
        socket.close();
        connect();
        return run_once(request, sink, false);
      }
    } catch (...) {
      socket.close();  // whatever is left on it belongs to no later request
      throw;
    }
  }

  Url url;
  HttpClientOptions options;
  Socket socket;
  bool reached = false;               ///< the last exchange had a connection
  std::optional<TimePoint> deadline;  ///< of the exchange that runs
};

HttpClient::HttpClient(std::string_view base_url, HttpClientOptions options)
    : impl_(std::make_unique<Impl>(base_url, std::move(options))) {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

HttpResponse HttpClient::get(std::string_view path) { return request("GET", path, ""); }

HttpResponse HttpClient::post(std::string_view path, std::string_view json_body) {
  return request("POST", path, json_body);
}

HttpResponse HttpClient::request(std::string_view method, std::string_view path,
                                 std::string_view body) {
  std::string received;
  HttpResponse response =
      impl_->run(method, path, body, [&](const ResponseParser&, std::string_view bytes, TimePoint) {
        received.append(bytes);
        return Wanted::kMore;
      });
  response.body = std::move(received);
  return response;
}

HttpResponse HttpClient::stream(std::string_view path, std::string_view json_body,
                                const std::function<Wanted(std::string_view data)>& on_event) {
  std::string received;
  SseReader reader;
  Wanted wanted = Wanted::kMore;
  HttpResponse response =
      impl_->run("POST", path, json_body,
                 [&](const ResponseParser& parser, std::string_view bytes, TimePoint) {
                   if (!parser.head_done() || parser.head().status != 200) {
                     received.append(bytes);
                     return Wanted::kMore;
                   }
                   reader.feed(bytes, [&](std::string_view data) {
                     if (wanted == Wanted::kMore) wanted = on_event(data);
                   });
                   return wanted;
                 });
  response.body = std::move(received);
  return response;
}

TimedExchange HttpClient::post_before(std::string_view path, std::string_view json_body,
                                      TimePoint deadline, const OnBytes& on_bytes) {
  TimedExchange result;
  result.head.status = 0;
  impl_->deadline = deadline;
  try {
    impl_->run("POST", path, json_body,
               [&](const ResponseParser& parser, std::string_view bytes, TimePoint at) {
                 if (!parser.head_done()) return Wanted::kMore;
                 if (result.head.status == 0) result.head = parser.head();
                 on_bytes(result.head, bytes, at);
                 return Wanted::kMore;
               });
    result.end = ExchangeEnd::kComplete;
  } catch (const DeadlinePassed&) {
    result.end = ExchangeEnd::kDeadline;
    result.error = "the deadline has come";
  } catch (const Error& error) {
    result.end = impl_->reached ? ExchangeEnd::kBroke : ExchangeEnd::kRefused;
    result.error = error.what();
  }
  impl_->deadline.reset();
  return result;
}

}  // namespace nvllm::net
