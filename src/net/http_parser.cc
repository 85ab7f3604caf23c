// The only file that includes Beast's parser. It is given whole heads and nothing else: a head is
// first cut out and scanned here, under our own limits, so that what the library would tolerate but
// other parsers read differently never reaches it. Bodies are BodyReader's.
#include "net/http_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <charconv>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace nvllm::net {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kResponseHeadBytesMax = 64 * 1024;
constexpr std::int64_t kResponseLineBytesMax = 64 * 1024;

std::string text(boost::beast::string_view view) { return {view.data(), view.size()}; }

/// Names what is wrong with the lines of a head, or returns "" if nothing is.
std::string fault_of_lines(std::string_view head) {
  for (std::size_t i = 0; i < head.size(); ++i) {
    const char c = head[i];
    if (c == '\0') return "the request head holds a NUL byte";
    if (c == '\n' && (i == 0 || head[i - 1] != '\r')) return "the request head holds a bare LF";
    if (c == '\r' && (i + 1 == head.size() || head[i + 1] != '\n')) {
      return "the request head holds a bare CR";
    }
    const bool line_starts = i >= 2 && head[i - 1] == '\n';
    if (line_starts && (c == ' ' || c == '\t')) return "a header field is folded over two lines";
  }
  return "";
}

template <class Fields>
std::vector<HeaderField> copy_fields(const Fields& fields) {
  std::vector<HeaderField> copy;
  for (const auto& field : fields) {
    copy.push_back({text(field.name_string()), text(field.value())});
  }
  return copy;
}

std::int64_t count_of(const std::vector<HeaderField>& fields, std::string_view name) {
  return std::count_if(fields.begin(), fields.end(), [&](const HeaderField& field) {
    return equal_ignoring_case(field.name, name);
  });
}

/// A plain decimal number: no sign, no list.
std::optional<std::int64_t> plain_number(const std::string& value) {
  std::int64_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  const bool plain = !value.empty() && value.front() != '-' && error == std::errc() && stop == end;
  return plain ? std::optional(number) : std::nullopt;
}

/// A head as the library understood it.
template <bool kIsRequest>
class ParsedHead {
 public:
  /// `error()` is set if the library refuses the head.
  explicit ParsedHead(std::string_view head) {
    parser_.header_limit(static_cast<std::uint32_t>(head.size() + 1));
    parser_.body_limit(boost::none);
    parser_.skip(true);  // of the body: it is not the library's business
    parser_.put(boost::asio::buffer(head.data(), head.size()), error_);
    if (!error_ && !parser_.is_header_done()) error_ = http::error::partial_message;
  }
  const boost::beast::error_code& error() const { return error_; }
  const auto& message() const { return parser_.get(); }
  bool keep_alive() const { return parser_.keep_alive(); }

 private:
  http::parser<kIsRequest, http::empty_body> parser_;
  boost::beast::error_code error_;
};

/// How the body of a request is framed, or why nobody can tell for sure.
struct Framing {
  std::optional<BodyReader> body{};
  ParseFailure failure{};
};

Framing framing_of(const HttpRequest& request, bool http_1_0, BodyLimits limits) {
  const auto refused = [](int status, const char* why) {
    return Framing{std::nullopt, {status, why}};
  };
  const std::int64_t length_count = count_of(request.headers, "Content-Length");
  if (const std::string* coding = request.header("Transfer-Encoding")) {
    if (http_1_0 || length_count > 0 || count_of(request.headers, "Transfer-Encoding") > 1) {
      return refused(400, "the length of the request body is given in two ways");
    }
    if (!equal_ignoring_case(*coding, "chunked")) {
      return refused(501, "the only transfer coding understood is chunked");
    }
    return {BodyReader::chunked(limits), {}};
  }
  if (length_count == 0) return {BodyReader::of_length(0, limits), {}};
  const std::optional<std::int64_t> length = plain_number(*request.header("Content-Length"));
  if (!length || length_count > 1) return refused(400, "Content-Length must be one plain number");
  BodyReader body = BodyReader::of_length(*length, limits);
  if (body.failure()) return {std::nullopt, *body.failure()};
  return {std::move(body), {}};
}

}  // namespace

RequestParser::RequestParser(const HttpLimits& limits) : limits_(limits) {}

void RequestParser::append(std::string_view bytes) { buffer_.append(bytes); }

ParseState RequestParser::fail(int status, std::string message) {
  failure_ = {status, std::move(message)};
  keep_alive_ = false;
  return state_ = ParseState::kFailed;
}

ParseState RequestParser::advance() {
  if (state_ == ParseState::kIdle || state_ == ParseState::kHead) advance_head();
  if (state_ == ParseState::kBody) advance_body();
  return state_;
}

ParseState RequestParser::advance_head() {
  // Empty lines before a request are an old habit of clients. All are skipped, so that the outcome
  // does not depend on how the bytes were cut.
  std::size_t empty_lines = 0;
  while (buffer_.compare(empty_lines, 2, "\r\n") == 0) empty_lines += 2;
  buffer_.erase(0, empty_lines);
  if (buffer_.empty()) return state_ = ParseState::kIdle;
  state_ = ParseState::kHead;

  const std::size_t from = searched_bytes_ < 3 ? 0 : searched_bytes_ - 3;
  const std::size_t end = buffer_.find("\r\n\r\n", from);
  const auto head_max = static_cast<std::size_t>(limits_.head_bytes_max);
  if (end == std::string::npos ? buffer_.size() >= head_max : end + 4 > head_max) {
    return fail(431, "the request head is larger than " + std::to_string(head_max) + " bytes");
  }
  searched_bytes_ = buffer_.size();
  if (end == std::string::npos) return state_;

  const std::string head = buffer_.substr(0, end + 4);
  buffer_.erase(0, head.size());
  searched_bytes_ = 0;
  if (std::string fault = fault_of_lines(head); !fault.empty()) return fail(400, fault);
  const auto lines = std::count(head.begin(), head.end(), '\n');
  if (lines - 2 > limits_.field_count_max) {
    return fail(431, "the request has more than " + std::to_string(limits_.field_count_max) +
                         " header fields");
  }
  return accept_head(head);
}

ParseState RequestParser::accept_head(std::string_view head) {
  const ParsedHead<true> parsed(head);
  if (parsed.error()) {
    return fail(400, "the request head is malformed: " + parsed.error().message());
  }
  const auto& message = parsed.message();
  if (message.version() != 10 && message.version() != 11) {
    return fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  }
  http_1_0_ = message.version() == 10;
  keep_alive_ = parsed.keep_alive();
  body_wire_bytes_ = 0;
  request_ = {.method = text(message.method_string()),
              .target = text(message.target()),
              .headers = copy_fields(message)};
  const std::int64_t host_count = count_of(request_.headers, "Host");
  if (host_count > 1 || (!http_1_0_ && host_count == 0)) {
    return fail(400, "a request needs exactly one Host header");
  }
  Framing framing =
      framing_of(request_, http_1_0_, {limits_.body_bytes_max, limits_.chunk_head_bytes_max});
  if (!framing.body) return fail(framing.failure.status, framing.failure.message);
  const std::string* expect = request_.header("Expect");
  if (expect != nullptr && !equal_ignoring_case(*expect, "100-continue")) {
    return fail(417, "the only expectation understood is 100-continue");
  }
  continue_requested_ = expect != nullptr && !http_1_0_;
  body_ = std::move(framing.body);
  return state_ = ParseState::kBody;
}

ParseState RequestParser::advance_body() {
  const std::size_t used = body_->feed(buffer_, request_.body);
  buffer_.erase(0, used);
  body_wire_bytes_ += static_cast<std::int64_t>(used);
  if (body_->failure()) return fail(body_->failure()->status, body_->failure()->message);
  // Chunks of one byte with long extensions: the framing must not outweigh what it frames.
  if (body_wire_bytes_ > 2 * limits_.body_bytes_max + limits_.head_bytes_max) {
    return fail(413, "the framing of the request body is larger than the body may be");
  }
  if (body_->done()) state_ = ParseState::kDone;
  return state_;
}

bool RequestParser::take_continue_request() {
  const bool wanted = continue_requested_ && state_ == ParseState::kBody;
  continue_requested_ = false;
  return wanted;
}

HttpRequest RequestParser::take_request() {
  NVLLM_CHECK(state_ == ParseState::kDone);
  state_ = ParseState::kIdle;
  return std::exchange(request_, {});
}

void ResponseParser::read_head(std::string_view head) {
  const ParsedHead<false> parsed(head);
  if (parsed.error()) {
    throw Error(ErrorKind::kUnavailable, "malformed HTTP response: " + parsed.error().message());
  }
  head_.status = static_cast<int>(parsed.message().result_int());
  head_.headers = copy_fields(parsed.message());
  const std::string* type = head_.header("Content-Type");
  head_.content_type = type == nullptr ? "" : *type;
  keep_alive_ = parsed.keep_alive();
  const BodyLimits limits{body_bytes_max_, kResponseLineBytesMax};
  const std::string* coding = head_.header("Transfer-Encoding");
  const std::string* length = head_.header("Content-Length");
  if (coding != nullptr && equal_ignoring_case(*coding, "chunked")) {
    body_ = BodyReader::chunked(limits);
  } else if (length != nullptr && plain_number(*length)) {
    body_ = BodyReader::of_length(*plain_number(*length), limits);
  } else if (head_.status == 204 || head_.status == 304) {
    body_ = BodyReader::of_length(0, limits);
  } else {
    body_ = BodyReader::until_end(limits);
    keep_alive_ = false;
  }
}

std::string ResponseParser::feed(std::string_view bytes) {
  buffer_.append(bytes);
  if (!body_) {
    const std::size_t end = buffer_.find("\r\n\r\n");
    if (end == std::string::npos && buffer_.size() > kResponseHeadBytesMax) {
      throw Error(ErrorKind::kUnavailable, "the head of the HTTP response is too large");
    }
    if (end == std::string::npos) return "";
    read_head(std::string_view(buffer_).substr(0, end + 4));
    buffer_.erase(0, end + 4);
  }
  std::string out;
  buffer_.erase(0, body_->feed(buffer_, out));
  if (body_->failure()) throw Error(ErrorKind::kUnavailable, body_->failure()->message);
  return out;
}

void ResponseParser::feed_end() const {
  if (body_ && body_->may_end_now()) return;
  throw Error(ErrorKind::kUnavailable, "the server closed the connection inside its answer");
}

}  // namespace nvllm::net
