#include "bench/import/trace_window.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace nvllm::bench {

namespace {

// Large enough that the event cut by its end, which is scanned twice, does not count; small enough
// for a cache.
constexpr std::size_t kWindow = 512 << 10;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace

TraceWindow::TraceWindow(RawRead raw, std::string what, std::int64_t value_bytes_max)
    : source_(std::move(raw), what), what_(std::move(what)), value_bytes_max_(value_bytes_max), buffer_(kWindow) {}

bool TraceWindow::read_on() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) {
    if (static_cast<std::int64_t>(end_) >= value_bytes_max_) {
      throw Error(ErrorKind::kBadFile,
                  fmt::format("{}: the value at byte {} is larger than {} bytes", what_, position(), value_bytes_max_));
    }
    buffer_.resize(buffer_.size() * 2);
  }
  const std::size_t got = source_.read(buffer_.data() + end_, buffer_.size() - end_);
  end_ += got;
  return got > 0;
}

std::optional<char> TraceWindow::peek() {
  while (true) {
    while (begin_ < end_ && is_space(buffer_[begin_])) ++begin_;
    if (begin_ < end_) return buffer_[begin_];
    if (!read_on()) return std::nullopt;
  }
}

bool TraceWindow::skip_value() {
  const std::optional<char> first = peek();
  if (!first) return false;
  if (*first != '{' && *first != '[') return take_value(scan_value);
  int depth = 0;
  bool in_string = false, escaped = false;
  while (true) {
    for (; begin_ < end_; ++begin_) {
      const char c = buffer_[begin_];
      if (in_string) {
        in_string = escaped || c != '"';
        escaped = !escaped && c == '\\';
      } else if (c == '"') {
        in_string = true;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if ((c == '}' || c == ']') && --depth == 0) {
        ++begin_;
        return true;
      }
    }
    if (!read_on()) return false;
  }
}

void TraceWindow::refuse(const char* at, std::string_view wanted) {
  const std::int64_t byte = source_.bytes() - (buffer_.data() + end_ - at);
  const std::size_t shown = std::min<std::size_t>(24, static_cast<std::size_t>(buffer_.data() + end_ - at));
  throw Error(ErrorKind::kBadFile, fmt::format("{}: not a trace: byte {} begins '{}', wanted {}", what_, byte,
                                               std::string_view(at, shown), wanted));
}

}  // namespace nvllm::bench
