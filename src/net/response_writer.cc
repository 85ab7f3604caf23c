#include "net/response_writer.h"

#include <algorithm>
#include <ctime>

#include "base/check.h"

namespace nvllm::net {
namespace {

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  const std::size_t size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text, size};
}

/// Fields come from our own code; one that could forge a line of the head is a bug.
void append_field(std::string& out, std::string_view name, std::string_view value) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  NVLLM_CHECK(std::none_of(value.begin(), value.end(), control));
  out.append(name).append(": ").append(value).append("\r\n");
}

std::string write_head(const HttpResponse& response, const ResponseFraming& framing) {
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " ";
  out.append(reason_phrase(response.status)).append("\r\n");
  append_field(out, "Date", http_date());
  append_field(out, "Content-Type", response.content_type);
  for (const HeaderField& field : response.headers) append_field(out, field.name, field.value);
  append_field(out, "Connection", framing.keep_alive ? "keep-alive" : "close");
  return out;
}

}  // namespace

std::string write_response(const HttpResponse& response, const ResponseFraming& framing) {
  std::string out = write_head(response, framing);
  append_field(out, "Content-Length", std::to_string(response.body.size()));
  out += "\r\n";
  if (!framing.omit_body) out += response.body;
  return out;
}

std::string write_stream_head(const HttpResponse& head, const ResponseFraming& framing) {
  std::string out = write_head(head, framing);
  if (framing.chunked) append_field(out, "Transfer-Encoding", "chunked");
  out += "\r\n";
  append_stream_data(head.body, framing, out);
  return out;
}

void append_stream_data(std::string_view bytes, const ResponseFraming& framing, std::string& out) {
  if (bytes.empty() || framing.omit_body) return;
  if (!framing.chunked) {
    out.append(bytes);
    return;
  }
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string size;
  for (std::size_t rest = bytes.size(); rest > 0; rest /= 16) size += kDigits[rest % 16];
  out.append(size.rbegin(), size.rend());
  out.append("\r\n").append(bytes).append("\r\n");
}

void append_stream_end(const ResponseFraming& framing, std::string& out) {
  if (framing.chunked && !framing.omit_body) out += "0\r\n\r\n";
}

}  // namespace nvllm::net
