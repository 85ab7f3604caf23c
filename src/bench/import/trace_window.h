#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/import/byte_source.h"
#include "bench/import/trace_event.h"

namespace nvllm::bench {

/// A window that slides over a JSON text of any length. It holds whole values one at a time; only a
/// value larger than the limit is refused, and values passed over need not fit.
class TraceWindow {
 public:
  TraceWindow(RawRead raw, std::string what, std::int64_t value_bytes_max);

  /// The next byte that is no white space, not taken; nothing at the end of the text.
  std::optional<char> peek();
  /// Takes the byte that peek() showed.
  void take() { ++begin_; }

  /// Scans a value with `scan(begin, end)` and takes it, reading on until it is whole. What the scan
  /// points to stays valid until the next call. False where the text ends inside of the value.
  template <class Scan>
  bool take_value(Scan&& scan) {
    while (true) {
      const Scanned scanned = scan(buffer_.data() + begin_, buffer_.data() + end_);
      if (scanned.outcome == Scanned::Outcome::kDone) {
        begin_ = static_cast<std::size_t>(scanned.next - buffer_.data());
        return true;
      }
      if (scanned.outcome == Scanned::Outcome::kBad) refuse(scanned.next, scanned.wanted);
      if (!read_on()) return false;
    }
  }

  /// Passes over a value of any size. False where the text ends inside of it.
  bool skip_value();

  /// Ends with an error at the present byte.
  [[noreturn]] void refuse(std::string_view wanted) { refuse(buffer_.data() + begin_, wanted); }

  const ByteSource& source() const { return source_; }
  /// Bytes of the text before the present one.
  std::int64_t position() const { return source_.bytes() - static_cast<std::int64_t>(end_ - begin_); }

 private:
  bool read_on();
  [[noreturn]] void refuse(const char* at, std::string_view wanted);

  ByteSource source_;
  std::string what_;
  std::int64_t value_bytes_max_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace nvllm::bench
