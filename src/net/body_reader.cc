// Our own body framing: the library's asserts on some cuts of an empty chunked body and files
// trailers under the header fields, and both would be a stranger's choice.
#include "net/body_reader.h"

#include <algorithm>

namespace nvllm::net {
namespace {

/// The number of a chunk-size line: hexadecimal digits, no sign, no space, no overflow; what
/// follows a ';' is an extension nobody uses.
std::optional<std::int64_t> chunk_size(std::string_view line) {
  const std::string_view digits = line.substr(0, line.find(';'));
  if (digits.empty() || digits.size() > 15) return {};
  std::int64_t size = 0;
  for (const char c : digits) {
    int value = 0;
    if (c >= '0' && c <= '9') {
      value = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      value = c - 'a' + 10;
    } else if (c >= 'A' && c <= 'F') {
      value = c - 'A' + 10;
    } else {
      return {};
    }
    size = size * 16 + value;
  }
  return size;
}

}  // namespace

BodyReader BodyReader::of_length(std::int64_t bytes, BodyLimits limits) {
  BodyReader reader(bytes == 0 ? State::kDone : State::kData, bytes, limits);
  reader.count_body(bytes);
  return reader;
}

BodyReader BodyReader::chunked(BodyLimits limits) { return {State::kSizeLine, 0, limits}; }

BodyReader BodyReader::until_end(BodyLimits limits) { return {State::kUntilEnd, 0, limits}; }

void BodyReader::fail(int status, std::string message) {
  state_ = State::kFailed;
  failure_ = ParseFailure{status, std::move(message)};
}

bool BodyReader::count_body(std::int64_t bytes) {
  if (bytes > limits_.body_bytes_max - body_bytes_) {
    fail(413, "the body is larger than " + std::to_string(limits_.body_bytes_max) + " bytes");
    return false;
  }
  body_bytes_ += bytes;
  return true;
}

std::size_t BodyReader::feed(std::string_view bytes, std::string& out) {
  std::size_t used = 0;
  while (used < bytes.size() && state_ != State::kDone && state_ != State::kFailed) {
    const std::string_view rest = bytes.substr(used);
    const bool data =
        state_ == State::kData || state_ == State::kChunkData || state_ == State::kUntilEnd;
    used += data ? take_data(rest, out) : take_line(rest);
  }
  return used;
}

std::size_t BodyReader::take_data(std::string_view bytes, std::string& out) {
  if (state_ == State::kUntilEnd) {
    if (count_body(static_cast<std::int64_t>(bytes.size()))) out.append(bytes);
    return bytes.size();
  }
  const std::size_t count =
      static_cast<std::size_t>(std::min(left_, static_cast<std::int64_t>(bytes.size())));
  out.append(bytes.substr(0, count));
  left_ -= static_cast<std::int64_t>(count);
  if (left_ == 0) state_ = state_ == State::kData ? State::kDone : State::kChunkEnd;
  return count;
}

/// Takes up to and including the next LF; a line must end in CR LF and hold no control characters.
std::size_t BodyReader::take_line(std::string_view bytes) {
  const std::int64_t line_max = state_ == State::kChunkEnd ? 2 : limits_.line_bytes_max;
  std::size_t used = 0;
  while (used < bytes.size()) {
    const char c = bytes[used++];
    const bool after_cr = line_.ends_with('\r');
    const bool control =
        static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r' && c != '\n';
    if (after_cr != (c == '\n') || control) {
      fail(400, "the body's chunk framing is malformed");
      return used;
    }
    line_ += c;
    if (static_cast<std::int64_t>(line_.size()) + trailer_bytes_ > line_max) {
      fail(400, "a chunk header or the trailer of the body is too long");
      return used;
    }
    if (c == '\n') {
      end_line();
      return used;
    }
  }
  return used;
}

void BodyReader::end_line() {
  const std::string line = line_.substr(0, line_.size() - 2);
  line_.clear();
  if (state_ == State::kSizeLine) return begin_chunk(line);
  if (state_ == State::kChunkEnd) {
    if (!line.empty()) return fail(400, "a chunk of the body is longer than it says");
    state_ = State::kSizeLine;
    return;
  }
  trailer_bytes_ += static_cast<std::int64_t>(line.size()) + 2;
  if (line.empty()) state_ = State::kDone;
}

void BodyReader::begin_chunk(std::string_view line) {
  const std::optional<std::int64_t> size = chunk_size(line);
  if (!size) return fail(400, "a chunk size of the body is no hexadecimal number");
  if (!count_body(*size)) return;
  left_ = *size;
  state_ = *size == 0 ? State::kTrailer : State::kChunkData;
}

}  // namespace nvllm::net
