// The only file that includes Beast's parser. It takes whole heads: the head is first cut out and
// scanned here, under our own limits, and only then given to the library. What the library would
// tolerate but other parsers read differently never reaches it.
#include "net/http_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace nvllm::net {
namespace {

namespace http = boost::beast::http;

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

template <class Fields>
std::int64_t count_of(const Fields& fields, http::field name) {
  const auto range = fields.equal_range(name);
  return std::distance(range.first, range.second);
}

}  // namespace

struct RequestParser::Beast {
  std::optional<http::request_parser<http::string_body>> parser;
};

RequestParser::RequestParser(const HttpLimits& limits)
    : limits_(limits), beast_(std::make_unique<Beast>()) {}
RequestParser::~RequestParser() = default;

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
  // An empty line before a request is an old habit of clients; it is skipped once.
  if (state_ == ParseState::kIdle && buffer_.starts_with("\r\n")) buffer_.erase(0, 2);
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

  auto& parser = beast_->parser.emplace();
  parser.header_limit(static_cast<std::uint32_t>(head.size() + 1));
  parser.body_limit(static_cast<std::uint64_t>(limits_.body_bytes_max));
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(head), error);
  if (error == http::error::body_limit) {
    return fail(413, "the request body is larger than " + std::to_string(limits_.body_bytes_max) +
                         " bytes");
  }
  if (error && error != http::error::need_more) {
    return fail(400, "the request head is malformed: " + error.message());
  }
  if (!parser.is_header_done()) return fail(400, "the request head is malformed");
  return accept_head() ? (state_ = ParseState::kBody) : state_;
}

bool RequestParser::accept_head() {
  const auto& message = beast_->parser->get();
  http_1_0_ = message.version() == 10;
  keep_alive_ = beast_->parser->keep_alive();
  body_wire_bytes_ = 0;
  if (message.version() != 10 && message.version() != 11) {
    fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    return false;
  }
  if (count_of(message, http::field::host) > 1 ||
      (!http_1_0_ && count_of(message, http::field::host) == 0)) {
    fail(400, "a request needs exactly one Host header");
    return false;
  }
  const auto coding = message.find(http::field::transfer_encoding);
  if (coding != message.end()) {
    if (http_1_0_ || count_of(message, http::field::transfer_encoding) > 1 ||
        message.count(http::field::content_length) > 0) {
      fail(400, "the length of the request body is given in two ways");
      return false;
    }
    if (!equal_ignoring_case(text(coding->value()), "chunked")) {
      fail(501, "the only transfer coding understood is chunked");
      return false;
    }
  }
  const auto length = message.find(http::field::content_length);
  if (length != message.end() &&
      (count_of(message, http::field::content_length) > 1 ||
       length->value().find_first_not_of("0123456789") != boost::beast::string_view::npos)) {
    fail(400, "Content-Length must be one plain number");
    return false;
  }
  const auto expect = message.find(http::field::expect);
  if (expect != message.end() && !equal_ignoring_case(text(expect->value()), "100-continue")) {
    fail(417, "the only expectation understood is 100-continue");
    return false;
  }
  continue_requested_ = expect != message.end() && !http_1_0_;
  return true;
}

ParseState RequestParser::advance_body() {
  auto& parser = *beast_->parser;
  std::size_t used = 0;
  while (!parser.is_done() && used < buffer_.size()) {
    boost::beast::error_code error;
    const std::size_t step =
        parser.put(boost::asio::buffer(buffer_.data() + used, buffer_.size() - used), error);
    used += step;
    if (error == http::error::body_limit) {
      return fail(413, "the request body is larger than " +
                           std::to_string(limits_.body_bytes_max) + " bytes");
    }
    if (error && error != http::error::need_more) {
      return fail(400, "the request body is malformed: " + error.message());
    }
    if (error == http::error::need_more || step == 0) break;
  }
  buffer_.erase(0, used);
  body_wire_bytes_ += static_cast<std::int64_t>(used);
  if (parser.is_done()) return state_ = ParseState::kDone;
  // Body bytes are consumed as they come: what stays behind is an unfinished chunk line or trailer.
  if (buffered_bytes() > limits_.chunk_head_bytes_max) {
    return fail(400, "a chunk header of the request body is too long");
  }
  if (body_wire_bytes_ > 2 * limits_.body_bytes_max + limits_.head_bytes_max) {
    return fail(413, "the framing of the request body is larger than the body may be");
  }
  return state_;
}

bool RequestParser::take_continue_request() {
  const bool wanted = continue_requested_ && state_ == ParseState::kBody;
  continue_requested_ = false;
  return wanted;
}

HttpRequest RequestParser::take_request() {
  NVLLM_CHECK(state_ == ParseState::kDone);
  auto message = beast_->parser->release();
  beast_->parser.reset();
  HttpRequest request{.method = text(message.method_string()),
                      .target = text(message.target()),
                      .headers = copy_fields(message),
                      .body = std::move(message.body())};
  state_ = ParseState::kIdle;
  return request;
}

struct ResponseParser::Beast {
  http::response_parser<http::string_body> parser;
};

ResponseParser::ResponseParser(std::int64_t body_bytes_max) : beast_(std::make_unique<Beast>()) {
  beast_->parser.eager(true);
  beast_->parser.header_limit(64 * 1024);
  beast_->parser.body_limit(static_cast<std::uint64_t>(body_bytes_max));
}
ResponseParser::~ResponseParser() = default;

std::string ResponseParser::feed(std::string_view bytes) {
  buffer_.append(bytes);
  auto& parser = beast_->parser;
  std::size_t used = 0;
  while (!parser.is_done() && used < buffer_.size()) {
    boost::beast::error_code error;
    const std::size_t step =
        parser.put(boost::asio::buffer(buffer_.data() + used, buffer_.size() - used), error);
    used += step;
    if (error == http::error::need_more || (!error && step == 0)) break;
    if (error) throw Error(ErrorKind::kUnavailable, "malformed HTTP response: " + error.message());
  }
  buffer_.erase(0, used);
  return std::exchange(parser.get().body(), {});
}

void ResponseParser::feed_end() {
  boost::beast::error_code error;
  beast_->parser.put_eof(error);
  if (error) {
    throw Error(ErrorKind::kUnavailable, "the server closed the connection inside its answer");
  }
}

bool ResponseParser::head_done() const { return beast_->parser.is_header_done(); }
bool ResponseParser::done() const { return beast_->parser.is_done(); }
bool ResponseParser::keep_alive() const { return beast_->parser.keep_alive(); }

HttpResponse ResponseParser::head() const {
  const auto& message = beast_->parser.get();
  HttpResponse head{.status = static_cast<int>(message.result_int()),
                    .content_type = "",
                    .headers = copy_fields(message),
                    .body = ""};
  if (const std::string* type = head.header("Content-Type")) head.content_type = *type;
  return head;
}

}  // namespace nvllm::net
