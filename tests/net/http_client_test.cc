#include "net/http_client.h"

#include <gtest/gtest.h>

#include <atomic>

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
