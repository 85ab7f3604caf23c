// Bytes as a stranger's connection would deliver them. The first byte chooses where they are cut;
// the same bytes in one piece must give the same requests and the same refusal.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_parser.h"

namespace {

using nvllm::net::HttpLimits;
using nvllm::net::ParseState;
using nvllm::net::RequestParser;

HttpLimits small_limits() {
  HttpLimits limits;
  limits.head_bytes_max = 512;
  limits.field_count_max = 8;
  limits.body_bytes_max = 256;
  limits.chunk_head_bytes_max = 64;
  return limits;
}

/// Everything that came out, as text.
std::string read_all(std::string_view bytes, std::size_t step) {
  RequestParser parser(small_limits());
  std::string seen;
  while (true) {
    const ParseState state = parser.advance();
    if (state == ParseState::kFailed) return seen + "|refused";
    if (state == ParseState::kDone) {
      const auto request = parser.take_request();
      if (request.body.size() > 256 || request.headers.size() > 8) std::abort();
      seen += "|" + request.method + " " + request.target + " " + request.body;
      continue;
    }
    parser.take_continue_request();
    if (bytes.empty()) return seen;
    parser.append(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t step = 1 + data[0] % 64;

  if (read_all(bytes, step) != read_all(bytes, bytes.size())) std::abort();
  return 0;
}
