// The listener: accepts sockets and hands each to a Connection. Stopping closes connections first
// and the threads last, so that every handler still hears that its client is gone.
#include "net/http_server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <thread>
#include <utility>

#include "base/error.h"
#include "net/connection.h"
#include "net/response_writer.h"

namespace nvllm::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

constexpr std::chrono::seconds kStopTime{2};
constexpr std::chrono::milliseconds kAcceptPause{50};

HttpResponse plain_error_page(int status, const std::string& message) {
  return {.status = status, .content_type = "text/plain", .headers = {}, .body = message + "\n"};
}

asio::ip::address address_of(const std::string& host) {
  ErrorCode error;
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
  if (error) {
    throw Error(ErrorKind::kUsage,
                "cannot listen on \"" + host + "\": an IP address or \"localhost\" is wanted");
  }
  return address;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, Handler handler)
      : options_(std::move(options)),
        address_(address_of(options_.host)),
        io_(std::make_shared<asio::io_context>()),
        strand_(asio::make_strand(*io_)),
        acceptor_(strand_),
        retry_timer_(strand_),
        shared_(std::make_shared<ConnectionShared>(
            io_, options_.limits, std::move(handler),
            options_.error_page ? options_.error_page : ErrorPage(plain_error_page),
            HostRules(address_.to_string(), options_.allowed_hosts))) {
    listen();
    accept();
    const std::int64_t count = std::max<std::int64_t>(1, options_.thread_count);
    for (std::int64_t i = 0; i < count; ++i) threads_.emplace_back([this] { io_->run(); });
  }

  ~Impl() { stop(); }

  std::uint16_t port() const { return port_; }
  const ConnectionShared& shared() const { return *shared_; }

  void stop() {
    if (std::exchange(stopped_, true)) return;
    asio::post(strand_, [this] {
      ErrorCode ignored;
      acceptor_.close(ignored);
      retry_timer_.cancel();
    });
    // Exchanges that handlers still hold keep their connection object, but not its socket; they
    // cannot delay this for longer than kStopTime.
    const auto deadline = std::chrono::steady_clock::now() + kStopTime;
    while (shared_->connection_count > 0 && std::chrono::steady_clock::now() < deadline) {
      close_connections(*shared_);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    shared_->stopped = true;
    io_->stop();
    for (std::thread& thread : threads_) thread.join();
    // What is still queued holds connections, which hold the context: run it, or it is never freed.
    io_->restart();
    io_->poll();
  }

 private:
  void listen() {
    const tcp::endpoint endpoint(address_, options_.port);
    ErrorCode error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && address_.is_v6()) acceptor_.set_option(asio::ip::v6_only(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) {
      port_ = acceptor_.local_endpoint().port();
      return;
    }
    const std::string where = options_.host + ":" + std::to_string(options_.port);
    if (error == asio::error::address_in_use) {
      throw Error(ErrorKind::kUnavailable, "cannot listen on " + where +
                                               ": another process already does; stop it or choose "
                                               "another port with --port");
    }
    const bool usage = error == boost::system::errc::address_not_available;
    throw Error(usage ? ErrorKind::kUsage : ErrorKind::kUnavailable,
                "cannot listen on " + where + ": " + error.message());
  }

  void accept() {
    acceptor_.async_accept([this](const ErrorCode& error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
      if (error) return accept_later();
      take(std::move(socket));
      accept();
    });
  }

  /// Out of descriptors: waiting is all that helps, and a retry at once would spin.
  void accept_later() {
    retry_timer_.expires_after(kAcceptPause);
    retry_timer_.async_wait([this](const ErrorCode& error) {
      if (!error) accept();
    });
  }

  void take(tcp::socket socket) {
    ErrorCode ignored;
    if (shared_->connection_count >= options_.limits.connection_count_max) {
      socket.non_blocking(true, ignored);
      const std::string answer = write_response(
          shared_->error_page(503, "too many connections; try again later"), ResponseFraming{});
      socket.write_some(asio::buffer(answer), ignored);
      return;
    }
    const int descriptor = socket.release(ignored);
    if (!ignored) serve_connection(descriptor, shared_);
  }

  const HttpServerOptions options_;
  const asio::ip::address address_;
  const std::shared_ptr<asio::io_context> io_;
  asio::strand<asio::io_context::executor_type> strand_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_timer_;
  std::shared_ptr<ConnectionShared> shared_;
  std::uint16_t port_ = 0;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

HttpServer::HttpServer(HttpServerOptions options, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler))) {}
HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const { return impl_->port(); }
std::int64_t HttpServer::active_exchange_count() const { return impl_->shared().exchange_count; }
std::int64_t HttpServer::connection_count() const { return impl_->shared().connection_count; }
void HttpServer::stop() { impl_->stop(); }

}  // namespace nvllm::net
