#include "net/http_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "base/error.h"
#include "net/http_server.h"
#include "net/server_sent_events.h"
#include "support/raw_socket.h"

namespace nvllm::net {
namespace {

using nvllm::testing::eventually;

std::string url_of(const HttpServer& server) {
  return "http://localhost:" + std::to_string(server.port());
}

TEST(HttpClient, RefusesUrlsItCannotSpeakTo) {
  for (const char* url : {"https://localhost", "localhost:80", "http://", "http://h:0",
                          "http://h:x", "http://h:70000", "http://[::1", "http://h/ a"}) {
    EXPECT_THROW(HttpClient{url}, Error) << url;
  }
}

TEST(HttpClient, PutsThePrefixOfItsUrlBeforePaths) {
  HttpServer server({.port = 0}, [](const std::shared_ptr<Exchange>& exchange) {
    exchange->respond({.body = exchange->request().target});
  });
  EXPECT_EQ(HttpClient(url_of(server) + "/v1/").get("/models").body, "/v1/models");
}

TEST(HttpClient, SendsItsHeaders) {
  HttpServer server({.port = 0}, [](const std::shared_ptr<Exchange>& exchange) {
    exchange->respond({.body = *exchange->request().header("authorization")});
  });
  HttpClient client(url_of(server), {.headers = {{"Authorization", "Bearer k"}}});
  EXPECT_EQ(client.get("/").body, "Bearer k");
}

TEST(HttpClient, NamesTheServerItCannotReach) {
  std::uint16_t port = 0;
  {
    HttpServer server({.port = 0}, [](const std::shared_ptr<Exchange>&) {});
    port = server.port();
  }
  try {
    HttpClient("http://127.0.0.1:" + std::to_string(port)).get("/");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
    EXPECT_NE(std::string(error.what()).find(std::to_string(port)), std::string::npos);
  }
}

TEST(HttpClient, GivesUpOnASilentServer) {
  HttpServer server({.port = 0}, [](const std::shared_ptr<Exchange>& exchange) {
    exchange->watch({.gone = [exchange] {}});  // kept, unanswered, until the client leaves
  });
  HttpClient client(url_of(server), {.silence_time = std::chrono::milliseconds(50)});
  EXPECT_THROW(client.get("/"), Error);
}

TEST(HttpClient, ReconnectsWhenItsKeptConnectionWasClosed) {
  HttpLimits limits;
  limits.idle_time = std::chrono::milliseconds(30);
  HttpServer server({.port = 0, .limits = limits},
                    [](const std::shared_ptr<Exchange>& exchange) { exchange->respond({}); });
  HttpClient client(url_of(server));
  EXPECT_EQ(client.get("/").status, 200);
  ASSERT_TRUE(eventually([&] { return server.connection_count() == 0; }));
  EXPECT_EQ(client.get("/").status, 200);
}

TEST(HttpClient, ReportsAStreamThatBreaksOff) {
  HttpServer server({.port = 0}, [](const std::shared_ptr<Exchange>& exchange) {
    exchange->start_stream({.content_type = "text/event-stream"});
    exchange->send(sse_event("1"));
    exchange->post([exchange] { exchange->post([exchange] { exchange->abort(); }); });
  });
  HttpClient client(url_of(server));
  EXPECT_THROW(client.stream("/", "{}", [](std::string_view) { return Wanted::kMore; }), Error);
}

TEST(HttpClient, LeavesAStreamItNoLongerWants) {
  std::atomic<int> gone{0};
  HttpServer server({.port = 0}, [&](std::shared_ptr<Exchange> exchange) {
    exchange->start_stream({.content_type = "text/event-stream"});
    exchange->send(sse_event("1"));
    exchange->watch({.gone = [&gone, exchange] { ++gone; }, .writable = {}});
  });
  HttpClient client(url_of(server));
  client.stream("/", "{}", [](std::string_view) { return Wanted::kNoMore; });
  EXPECT_TRUE(eventually([&] { return gone == 1; }));
}

TEST(HttpClient, HandsBackTheBodyOfARefusedStream) {
  HttpServer server({.port = 0}, [](const std::shared_ptr<Exchange>& exchange) {
    exchange->respond({.status = 429, .body = "later"});
  });
  HttpClient client(url_of(server));
  const HttpResponse response = client.stream("/", "{}", [](std::string_view) {
    ADD_FAILURE() << "no event was sent";
    return Wanted::kMore;
  });
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.body, "later");
}

using std::chrono::milliseconds;
using std::chrono::steady_clock;

const OnBytes kNobodyListens = [](const HttpResponse&, std::string_view, steady_clock::time_point) {
};

/// Sends a byte after the other until the client leaves.
void talk_on(const std::shared_ptr<Exchange>& exchange) {
  if (exchange->gone()) return;
  exchange->send("x");
  exchange->post([exchange] { talk_on(exchange); });
}

TEST(HttpClient, EndsAnExchangeAtItsDeadlineWhetherTheServerIsSilentOrNeverIs) {
  for (const bool talks : {false, true}) {
    HttpServer server({.port = 0}, [talks](const std::shared_ptr<Exchange>& exchange) {
      if (!talks) return exchange->watch({.gone = [exchange] {}});
      exchange->start_stream({.content_type = "text/plain"});
      talk_on(exchange);
    });
    HttpClient client(url_of(server));
    const auto begin = steady_clock::now();
    const TimedExchange exchange =
        client.post_before("/", "{}", begin + milliseconds(80), kNobodyListens);
    const auto took = steady_clock::now() - begin;
    EXPECT_EQ(exchange.end, ExchangeEnd::kDeadline) << talks << exchange.error;
    EXPECT_GE(took, milliseconds(80));
    EXPECT_LT(took, std::chrono::seconds(5));
    EXPECT_EQ(exchange.head.status, talks ? 200 : 0);
  }
}

TEST(HttpClient, StampsBytesBeforeItHandsThemOn) {
  HttpServer server({.port = 0}, [](const std::shared_ptr<Exchange>& exchange) {
    exchange->respond({.body = "ab"});
  });
  HttpClient client(url_of(server));
  const auto begin = steady_clock::now();
  std::string body;
  steady_clock::time_point last = begin;
  const TimedExchange exchange = client.post_before(
      "/", "{}", begin + std::chrono::seconds(20),
      [&](const HttpResponse& head, std::string_view bytes, steady_clock::time_point at) {
        EXPECT_EQ(head.status, 200);
        EXPECT_GE(at, last);
        EXPECT_LE(at, steady_clock::now());
        last = at;
        body += bytes;
      });
  EXPECT_EQ(exchange.end, ExchangeEnd::kComplete);
  EXPECT_EQ(body, "ab");
  EXPECT_GT(last, begin);
}

TEST(HttpClient, TellsAnExchangeThatBrokeFromOneThatNeverBegan) {
  std::uint16_t port = 0;
  {
    HttpServer server({.port = 0}, [](const std::shared_ptr<Exchange>& exchange) {
      exchange->start_stream({.content_type = "text/plain"});
      exchange->send("x");
      exchange->post([exchange] { exchange->post([exchange] { exchange->abort(); }); });
    });
    port = server.port();
    HttpClient client(url_of(server));
    const auto deadline = steady_clock::now() + std::chrono::seconds(20);
    EXPECT_EQ(client.post_before("/", "{}", deadline, kNobodyListens).end, ExchangeEnd::kBroke);
  }
  HttpClient client("http://127.0.0.1:" + std::to_string(port));
  const auto deadline = steady_clock::now() + std::chrono::seconds(20);
  const TimedExchange exchange = client.post_before("/", "{}", deadline, kNobodyListens);
  EXPECT_EQ(exchange.end, ExchangeEnd::kRefused);
  EXPECT_EQ(exchange.head.status, 0);
  EXPECT_FALSE(exchange.error.empty());
}

TEST(HttpClient, GoesOnAfterADeadlineAsBefore) {
  std::atomic<int> count{0};
  HttpServer server({.port = 0}, [&](const std::shared_ptr<Exchange>& exchange) {
    if (++count == 1) return exchange->watch({.gone = [exchange] {}});
    exchange->respond({.body = "late"});
  });
  HttpClient client(url_of(server));
  EXPECT_EQ(
      client.post_before("/", "{}", steady_clock::now() + milliseconds(30), kNobodyListens).end,
      ExchangeEnd::kDeadline);
  std::this_thread::sleep_for(milliseconds(30));
  EXPECT_EQ(client.post("/", "{}").body, "late");
}

TEST(ServerSentEvents, ReadBackAsWrittenInAnyCuts) {
  const std::string wire = sse_event("one") + ": comment\n\n" + sse_event("two\nlines") +
                           "event: x\ndata:three\r\n\r\n" + sse_event("");
  for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
    SseReader reader;
    std::vector<std::string> events;
    const auto keep = [&](std::string_view data) { events.emplace_back(data); };
    reader.feed(std::string_view(wire).substr(0, cut), keep);
    reader.feed(std::string_view(wire).substr(cut), keep);
    EXPECT_EQ(events, (std::vector<std::string>{"one", "two\nlines", "three", ""})) << cut;
    EXPECT_FALSE(reader.inside_event());
  }
}

}  // namespace
}  // namespace nvllm::net
