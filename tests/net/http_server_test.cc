#include "net/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "base/error.h"
#include "net/http_client.h"
#include "net/server_sent_events.h"
#include "support/raw_socket.h"

namespace nvllm::net {
namespace {

using nvllm::testing::eventually;
using nvllm::testing::raw_post;
using nvllm::testing::RawSocket;
using std::chrono::milliseconds;

HttpLimits quick_limits() {
  HttpLimits limits;
  limits.head_time = milliseconds(150);
  limits.body_grace = milliseconds(150);
  limits.idle_time = milliseconds(2000);
  limits.write_stall_time = milliseconds(200);
  limits.linger_time = milliseconds(200);
  return limits;
}

/// A server whose handler is given by the test, plus one that keeps exchanges for it.
class HttpServerTest : public ::testing::Test {
 protected:
  void start(Handler handler, HttpLimits limits = quick_limits()) {
    server_ = std::make_unique<HttpServer>(HttpServerOptions{.port = 0, .limits = limits},
                                           std::move(handler));
  }

  void start_echo(HttpLimits limits = quick_limits()) {
    start(
        [](std::shared_ptr<Exchange> exchange) {
          exchange->respond({.content_type = "text/plain", .body = exchange->request().body});
        },
        limits);
  }

  /// The handler keeps the exchange, for the test to play with.
  void start_keeping(HttpLimits limits = quick_limits()) {
    start(
        [this](std::shared_ptr<Exchange> exchange) {
          exchange->watch(
              {.gone = [this] { ++gone_count_; }, .writable = [this] { ++writable_count_; }});
          const std::lock_guard lock(mutex_);
          kept_.push_back(std::move(exchange));
        },
        limits);
  }

  std::shared_ptr<Exchange> kept(std::size_t index = 0) {
    EXPECT_TRUE(eventually([&] {
      const std::lock_guard lock(mutex_);
      return kept_.size() > index;
    }));
    const std::lock_guard lock(mutex_);
    return kept_.at(index);
  }

  void TearDown() override {
    {
      const std::lock_guard lock(mutex_);
      kept_.clear();
    }
    server_.reset();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }

  std::mutex mutex_;
  std::vector<std::shared_ptr<Exchange>> kept_;
  std::atomic<int> gone_count_{0};
  std::atomic<int> writable_count_{0};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersRequestsOnOneKeptConnection) {
  start_echo();
  HttpClient client(url());
  for (int i = 0; i < 5; ++i) {
    const HttpResponse response = client.post("/", "body " + std::to_string(i));
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "body " + std::to_string(i));
  }
  EXPECT_EQ(server_->connection_count(), 1);
  EXPECT_TRUE(eventually([&] { return server_->active_exchange_count() == 0; }));
}

TEST_F(HttpServerTest, TakesABodyAtTheLimitAndAnswers413Above) {
  start_echo();
  HttpClient client(url());
  const auto limit = static_cast<std::size_t>(HttpLimits{}.body_bytes_max);
  EXPECT_EQ(client.post("/", std::string(limit - 1, 'x')).body.size(), limit - 1);
  EXPECT_EQ(client.post("/", std::string(limit, 'x')).body.size(), limit);
  EXPECT_EQ(client.post("/", std::string(limit + 1, 'x')).status, 413);
  EXPECT_EQ(client.post("/", "again").body, "again");
}

TEST_F(HttpServerTest, ReadsChunkedBodies) {
  start_echo();
  RawSocket socket(server_->port());
  socket.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab");
  socket.send("c\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_NE(socket.read_until("abcde").find("abcde"), std::string::npos);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  start_echo();
  RawSocket socket(server_->port());
  socket.send(raw_post("/", "first") + raw_post("/", "second") + raw_post("/", "third"));
  const std::string& all = socket.read_until("third");
  EXPECT_LT(all.find("first"), all.find("second"));
  EXPECT_LT(all.find("second"), all.find("third"));
}

TEST_F(HttpServerTest, ClosesAConnectionWhoseHeadIsSlow) {
  start_echo();
  RawSocket socket(server_->port());
  socket.send("GET / HTTP/1.1\r\nHo");
  EXPECT_TRUE(socket.closed_within(milliseconds(1500)));
  EXPECT_NE(socket.received().find(" 408 "), std::string::npos);
}

TEST_F(HttpServerTest, ClosesAConnectionWhoseBodyIsSlow) {
  start_echo();
  RawSocket socket(server_->port());
  socket.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
  EXPECT_TRUE(socket.closed_within(milliseconds(1500)));
  EXPECT_NE(socket.received().find(" 408 "), std::string::npos);
}

TEST_F(HttpServerTest, ClosesAnIdleConnection) {
  HttpLimits limits = quick_limits();
  limits.idle_time = milliseconds(100);
  start_echo(limits);
  RawSocket silent(server_->port());
  EXPECT_TRUE(silent.closed_within(milliseconds(1500)));
  EXPECT_EQ(silent.received(), "");
}

TEST_F(HttpServerTest, SendsContinueToAClientThatAsks) {
  start_echo();
  RawSocket socket(server_->port());
  socket.send(
      "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_NE(socket.read_until("100 Continue").find("100 Continue"), std::string::npos);
  socket.send("body");
  EXPECT_NE(socket.read_until("\r\n\r\nbody").find("200 OK"), std::string::npos);
}

TEST_F(HttpServerTest, ForgetsARequestWhoseClientLeavesInsideTheBody) {
  start_echo();
  {
    RawSocket socket(server_->port());
    socket.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
  }
  EXPECT_TRUE(eventually([&] { return server_->connection_count() == 0; }));
  EXPECT_EQ(HttpClient(url()).post("/", "good").body, "good");
}

TEST_F(HttpServerTest, NoticesALeavingClientWhileNothingIsWritten) {
  start_keeping();
  for (int way = 0; way < 3; ++way) {
    RawSocket socket(server_->port());
    socket.send(raw_post("/", "x"));
    const auto exchange = kept(static_cast<std::size_t>(way));
    EXPECT_FALSE(exchange->gone());
    if (way == 0) socket.close();
    if (way == 1) socket.reset();
    if (way == 2) socket.half_close();
    EXPECT_TRUE(eventually([&] { return gone_count_ == way + 1; })) << way;
    EXPECT_TRUE(exchange->gone());
    EXPECT_EQ(exchange->send("late"), SendResult::kGone);
  }
  EXPECT_TRUE(eventually([&] { return server_->active_exchange_count() == 0; }));
}

TEST_F(HttpServerTest, TellsAWatcherThatComesLateThatTheClientIsGone) {
  start_keeping();
  RawSocket socket(server_->port());
  socket.send(raw_post("/", "x"));
  const auto exchange = kept();
  socket.close();
  ASSERT_TRUE(eventually([&] { return exchange->gone(); }));
  std::atomic<bool> told{false};
  exchange->watch({.gone = [&] { told = true; }, .writable = {}});
  EXPECT_TRUE(eventually([&] { return told.load(); }));
}

TEST_F(HttpServerTest, StreamsEvents) {
  start([](std::shared_ptr<Exchange> exchange) {
    exchange->start_stream({.content_type = "text/event-stream"});
    for (int i = 0; i < 3; ++i) exchange->send(sse_event("event " + std::to_string(i)));
    exchange->finish_stream();
  });
  HttpClient client(url());
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> events;
    client.stream("/", "{}", [&](std::string_view data) {
      events.emplace_back(data);
      return Wanted::kMore;
    });
    EXPECT_EQ(events, (std::vector<std::string>{"event 0", "event 1", "event 2"}));
  }
  EXPECT_EQ(server_->connection_count(), 1);
}

TEST_F(HttpServerTest, EndsAStreamForHttp10ByClosing) {
  start([](std::shared_ptr<Exchange> exchange) {
    exchange->start_stream({.content_type = "text/plain"});
    exchange->send("all of it");
    exchange->post([exchange] { exchange->finish_stream(); });
  });
  RawSocket socket(server_->port());
  socket.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(socket.closed_within(milliseconds(2000)));
  EXPECT_TRUE(socket.received().ends_with("\r\n\r\nall of it"));
}

TEST_F(HttpServerTest, LeavesAnAbortedStreamWithoutItsEnd) {
  start_keeping();
  RawSocket socket(server_->port());
  socket.send(raw_post("/", "x"));
  const auto exchange = kept();
  exchange->start_stream({.content_type = "text/event-stream"});
  exchange->send("data: 1\n\n");
  socket.read_until("data: 1");
  exchange->abort();
  EXPECT_TRUE(socket.closed_within(milliseconds(2000)));
  EXPECT_EQ(socket.received().find("\r\n0\r\n"), std::string::npos);
}

TEST_F(HttpServerTest, PausesAStreamWhoseReaderIsSlowAndWakesItLater) {
  HttpLimits limits = quick_limits();
  limits.write_stall_time = milliseconds(10'000);
  start_keeping(limits);
  RawSocket socket(server_->port());
  socket.send(raw_post("/", "x"));
  const auto exchange = kept();
  exchange->start_stream({.content_type = "text/plain"});
  const std::string block(64 * 1024, 'x');
  std::int64_t sent = 0;
  while (exchange->send(block) != SendResult::kFull) {
    ASSERT_LT(++sent, 4096) << "no back-pressure";
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(writable_count_, 0);
  exchange->post([exchange] {});
  std::thread reader([&] { socket.read_until("never sent", milliseconds(500)); });
  EXPECT_TRUE(eventually([&] { return writable_count_ == 1; }));
  reader.join();
}

TEST_F(HttpServerTest, ClosesAConnectionThatTakesNothing) {
  start_keeping();
  RawSocket socket(server_->port());
  socket.send(raw_post("/", "x"));
  const auto exchange = kept();
  exchange->start_stream({.content_type = "text/plain"});
  const std::string block(64 * 1024, 'x');
  // Also when it was full once: a busy server may only have been late, and its socket then takes all there is.
  EXPECT_TRUE(eventually([&] { return exchange->send(block) == SendResult::kGone || gone_count_ == 1; }));
  EXPECT_TRUE(eventually([&] { return gone_count_ == 1; }));
}

TEST_F(HttpServerTest, CarriesTwoHundredStreamsAtOnce) {
  start_keeping();
  std::vector<std::unique_ptr<RawSocket>> sockets;
  for (std::size_t i = 0; i < 200; ++i) {
    sockets.push_back(std::make_unique<RawSocket>(server_->port()));
    sockets.back()->send(raw_post("/", "x"));
    kept(i)->start_stream({.content_type = "text/event-stream"});
  }
  for (int event = 0; event < 20; ++event) {
    for (std::size_t i = 0; i < 200; ++i) kept(i)->send(sse_event(std::to_string(event)));
  }
  for (std::size_t i = 0; i < 200; ++i) kept(i)->finish_stream();
  for (const auto& socket : sockets) {
    const std::string& all = socket->read_until("0\r\n\r\n");
    EXPECT_NE(all.find("data: 19\n\n"), std::string::npos);
  }
  EXPECT_EQ(gone_count_, 0);
  EXPECT_TRUE(eventually([&] { return server_->active_exchange_count() == 0; }));
  sockets.clear();
  EXPECT_TRUE(eventually([&] { return server_->connection_count() == 0 || kept_.size() == 200; }));
}

TEST_F(HttpServerTest, RefusesConnectionsAboveTheirLimitAndRecovers) {
  HttpLimits limits = quick_limits();
  limits.connection_count_max = 2;
  start_echo(limits);
  auto first = std::make_unique<RawSocket>(server_->port());
  RawSocket second(server_->port());
  ASSERT_TRUE(eventually([&] { return server_->connection_count() == 2; }));
  RawSocket third(server_->port());
  EXPECT_NE(third.read_until("503").find(" 503 "), std::string::npos);
  first.reset();
  ASSERT_TRUE(eventually([&] { return server_->connection_count() == 1; }));
  EXPECT_EQ(HttpClient(url()).post("/", "ok").body, "ok");
}

TEST_F(HttpServerTest, ClosesAClientThatSendsTooFarAhead) {
  HttpLimits limits = quick_limits();
  limits.pipelined_bytes_max = 1000;
  start_keeping(limits);
  RawSocket socket(server_->port());
  socket.send(raw_post("/", "x"));
  kept();
  socket.send(std::string(1100, 'x'));
  EXPECT_TRUE(eventually([&] { return gone_count_ == 1; }));
}

TEST_F(HttpServerTest, Answers500ForADroppedExchangeAndForAThrowingHandler) {
  start([](const std::shared_ptr<Exchange>& exchange) {
    if (exchange->request().target == "/throw") throw Error(ErrorKind::kInternal, "secret words");
  });
  HttpClient client(url());
  EXPECT_EQ(client.get("/drop").status, 500);
  const HttpResponse thrown = client.get("/throw");
  EXPECT_EQ(thrown.status, 500);
  EXPECT_EQ(thrown.body.find("secret"), std::string::npos);
}

TEST_F(HttpServerTest, AnswersHeadWithoutABody) {
  start([](const std::shared_ptr<Exchange>& exchange) { exchange->respond({.body = "text"}); });
  RawSocket socket(server_->port());
  socket.send("HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(socket.closed_within(milliseconds(2000)));
  EXPECT_NE(socket.received().find("Content-Length: 4"), std::string::npos);
  EXPECT_TRUE(socket.received().ends_with("\r\n\r\n"));
}

TEST_F(HttpServerTest, RefusesForeignHostsAndOrigins) {
  start_echo();
  const auto status = [&](const std::string& fields) {
    RawSocket socket(server_->port());
    socket.send("GET / HTTP/1.1\r\nConnection: close\r\n" + fields + "\r\n");
    socket.closed_within(milliseconds(2000));
    return socket.received().substr(9, 3);
  };
  EXPECT_EQ(status("Host: localhost:8000\r\n"), "200");
  EXPECT_EQ(status("Host: [::1]:8000\r\n"), "200");
  EXPECT_EQ(status("Host: rebound.example\r\n"), "403");
  EXPECT_EQ(status("Host: localhost\r\nOrigin: http://localhost:3000\r\n"), "200");
  EXPECT_EQ(status("Host: localhost\r\nOrigin: https://page.example\r\n"), "403");
  EXPECT_EQ(status("Host: localhost\r\nOrigin: null\r\n"), "403");
}

TEST_F(HttpServerTest, NamesThePortThatIsTaken) {
  start_echo();
  try {
    HttpServer second({.port = server_->port()}, [](const std::shared_ptr<Exchange>&) {});
    FAIL() << "the port was taken twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
    const std::string message = error.what();
    EXPECT_NE(message.find("127.0.0.1:" + std::to_string(server_->port())), std::string::npos);
    EXPECT_NE(message.find("--port"), std::string::npos);
  }
  EXPECT_THROW(HttpServer({.host = "example.com", .port = 0}, {}), Error);
}

TEST_F(HttpServerTest, StopsWithExchangesInFlight) {
  start_keeping();
  RawSocket socket(server_->port());
  socket.send(raw_post("/", "x"));
  const auto exchange = kept();
  server_->stop();
  EXPECT_EQ(gone_count_, 1);
  EXPECT_TRUE(socket.closed_within(milliseconds(1000)));
  server_.reset();
  exchange->respond({.body = "too late"});
  exchange->post([] { FAIL() << "ran after the server's end"; });
}

}  // namespace
}  // namespace nvllm::net
