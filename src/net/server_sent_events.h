#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace nvllm::net {

/// One event as it goes over the wire: "data: ...\n\n"; `data` of several lines becomes several
/// data lines.
std::string sse_event(std::string_view data);

/// Reads a stream of events from bytes in any cuts.
class SseReader {
 public:
  /// Calls `on_data` with the data of each event that became complete. Comments and other fields
  /// are skipped.
  ///   Errors: Error(kUnavailable) for an event larger than 16 MiB.
  void feed(std::string_view bytes, const std::function<void(std::string_view)>& on_data);
  /// Whether the last event is still open.
  bool inside_event() const { return !line_.empty() || has_data_; }

 private:
  void take_line(const std::function<void(std::string_view)>& on_data);

  std::string line_;
  std::string data_;
  bool has_data_ = false;
};

}  // namespace nvllm::net
