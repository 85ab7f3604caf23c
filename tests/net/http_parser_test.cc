#include "net/http_parser.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace nvllm::net {
namespace {

HttpLimits small_limits() {
  HttpLimits limits;
  limits.head_bytes_max = 256;
  limits.field_count_max = 4;
  limits.body_bytes_max = 100;
  limits.chunk_head_bytes_max = 64;
  return limits;
}

/// The state after all bytes at once; `status` gets the refusal.
ParseState parse(std::string_view bytes, int* status = nullptr) {
  RequestParser parser(small_limits());
  parser.append(bytes);
  const ParseState state = parser.advance();
  if (status != nullptr) *status = state == ParseState::kFailed ? parser.failure().status : 0;
  return state;
}

int status_of(std::string_view bytes) {
  int status = 0;
  parse(bytes, &status);
  return status;
}

std::string head_of_size(std::size_t bytes) {
  std::string head = "GET / HTTP/1.1\r\nHost: x\r\nA: ";
  head.append(bytes - head.size() - 4, 'a');
  return head + "\r\n\r\n";
}

std::string with_length(std::size_t bytes) {
  return "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" +
         std::string(bytes, 'b');
}

std::string chunked(std::string_view chunks) {
  return "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(chunks);
}

TEST(RequestParser, ReadsARequestWhateverTheCuts) {
  const std::string bytes = "POST /v1/x?y=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    RequestParser parser(small_limits());
    parser.append(std::string_view(bytes).substr(0, cut));
    parser.advance();
    parser.append(std::string_view(bytes).substr(cut));
    ASSERT_EQ(parser.advance(), ParseState::kDone) << cut;
    const HttpRequest request = parser.take_request();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path(), "/v1/x");
    EXPECT_EQ(*request.header("HOST"), "h");
    EXPECT_EQ(request.body, "hello");
    EXPECT_TRUE(parser.keep_alive());
  }
}

TEST(RequestParser, ReadsPipelinedRequestsOneByOne) {
  RequestParser parser(small_limits());
  parser.append("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_EQ(parser.advance(), ParseState::kDone);
  EXPECT_EQ(parser.take_request().target, "/a");
  ASSERT_EQ(parser.advance(), ParseState::kDone);
  EXPECT_EQ(parser.take_request().target, "/b");
  EXPECT_EQ(parser.advance(), ParseState::kIdle);
}

TEST(RequestParser, SkipsEmptyLinesBeforeARequestWhateverTheCuts) {
  const std::string bytes = "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    RequestParser parser(small_limits());
    parser.append(std::string_view(bytes).substr(0, cut));
    parser.advance();
    parser.append(std::string_view(bytes).substr(cut));
    EXPECT_EQ(parser.advance(), ParseState::kDone) << cut;
  }
}

TEST(RequestParser, TakesAHeadUpToItsLimitAndNotOneByteMore) {
  EXPECT_EQ(status_of(head_of_size(255)), 0);
  EXPECT_EQ(status_of(head_of_size(256)), 0);
  EXPECT_EQ(status_of(head_of_size(257)), 431);
}

TEST(RequestParser, RefusesAnEndlessHeadWithoutWaitingForItsEnd) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nA: " + std::string(300, 'a')), 431);
}

TEST(RequestParser, CountsHeaderFields) {
  const std::string four = "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 1\r\nC: 1\r\n";
  EXPECT_EQ(status_of(four + "\r\n"), 0);
  EXPECT_EQ(status_of(four + "D: 1\r\n\r\n"), 431);
}

TEST(RequestParser, TakesABodyUpToItsLimitInBothFramings) {
  EXPECT_EQ(status_of(with_length(99)), 0);
  EXPECT_EQ(status_of(with_length(100)), 0);
  EXPECT_EQ(status_of(with_length(101)), 413);
  EXPECT_EQ(parse(chunked("64\r\n" + std::string(100, 'b') + "\r\n0\r\n\r\n")), ParseState::kDone);
  EXPECT_EQ(status_of(chunked("65\r\n" + std::string(101, 'b') + "\r\n0\r\n\r\n")), 413);
  EXPECT_EQ(status_of(chunked("63\r\n" + std::string(99, 'b') + "\r\n2\r\nbb\r\n0\r\n\r\n")), 413);
}

TEST(RequestParser, RefusesATooLongBodyAtItsHead) {
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n"), 413);
  EXPECT_NE(status_of("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"),
            0);
}

TEST(RequestParser, JoinsChunks) {
  RequestParser parser(small_limits());
  parser.append(chunked("3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"));
  ASSERT_EQ(parser.advance(), ParseState::kDone);
  const HttpRequest request = parser.take_request();
  EXPECT_EQ(request.body, "abcde");
  EXPECT_EQ(request.header("Trailer"), nullptr) << "a trailer is no header";
}

TEST(RequestParser, RefusesHostileChunks) {
  EXPECT_EQ(status_of(chunked("-1\r\nabc\r\n")), 400);
  EXPECT_EQ(status_of(chunked("+3\r\nabc\r\n")), 400);
  EXPECT_EQ(status_of(chunked("zz\r\n")), 400);
  EXPECT_NE(status_of(chunked("ffffffffffffffff\r\nabc")), 0);
  EXPECT_NE(status_of(chunked("10000000000000000\r\nabc")), 0);
  EXPECT_EQ(status_of(chunked("3\r\nabcd\r\n0\r\n\r\n")), 400);
  EXPECT_EQ(status_of(chunked("1;" + std::string(80, 'e'))), 400);
  EXPECT_EQ(status_of(chunked("0\r\nA: " + std::string(80, 'e'))), 400);
}

TEST(RequestParser, RefusesFramingThatCanBeReadTwoWays) {
  const std::string start = "POST / HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(status_of(start + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"), 400);
  EXPECT_EQ(status_of(start + "Content-Length: 1\r\nContent-Length: 2\r\n\r\na"), 400);
  EXPECT_EQ(status_of(start + "Content-Length: 1, 1\r\n\r\na"), 400);
  EXPECT_EQ(status_of(start + "Content-Length: -1\r\n\r\na"), 400);
  EXPECT_EQ(status_of(start + "Content-Length: +1\r\n\r\na"), 400);
  EXPECT_EQ(status_of(start + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400);
  EXPECT_EQ(status_of(start + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"),
            400);
  EXPECT_EQ(status_of(start + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501);
  EXPECT_NE(status_of(start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
            0);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
}

TEST(RequestParser, RefusesBareLineEndsFoldsAndNuls) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\nA: 1\rB: 2\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\n folded\r\n\r\n"), 400);
  EXPECT_EQ(status_of(std::string("GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n", 29)), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost : x\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GARBAGE\r\n\r\n"), 400);
  EXPECT_NE(status_of("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 0);
}

TEST(RequestParser, WantsExactlyOneHost) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(parse("GET / HTTP/1.0\r\n\r\n"), ParseState::kDone);
}

TEST(RequestParser, LeavesHeaderValuesUndecoded) {
  RequestParser parser(small_limits());
  parser.append("GET /%2e HTTP/1.1\r\nHost: x\r\nA: %0d%0aB: 1\r\n\r\n");
  ASSERT_EQ(parser.advance(), ParseState::kDone);
  const HttpRequest request = parser.take_request();
  EXPECT_EQ(*request.header("a"), "%0d%0aB: 1");
  EXPECT_EQ(request.path(), "/%2e");
}

TEST(RequestParser, TellsOnceThatTheClientWaitsToContinue) {
  RequestParser parser(small_limits());
  parser.append("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(parser.advance(), ParseState::kBody);
  EXPECT_TRUE(parser.take_continue_request());
  EXPECT_FALSE(parser.take_continue_request());
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n"), 417);
}

TEST(ResponseParser, ReadsChunkedBodiesByteByByte) {
  const std::string bytes =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  ResponseParser parser(1000);
  std::string body;
  for (const char byte : bytes) body += parser.feed({&byte, 1});
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(body, "abcde");
  EXPECT_EQ(parser.head().status, 200);
  EXPECT_EQ(parser.head().content_type, "text/plain");
}

TEST(ResponseParser, TellsABrokenOffAnswerFromAWholeOne) {
  ResponseParser parser(1000);
  parser.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  EXPECT_FALSE(parser.done());
  EXPECT_THROW(parser.feed_end(), Error);
}

}  // namespace
}  // namespace nvllm::net
