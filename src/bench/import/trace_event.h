#pragma once

// One event of a Chrome trace, read in place from a buffer that may end in the middle of it.

#include <cstdint>
#include <string>
#include <string_view>

namespace nvllm::bench {

/// The fields an importer needs, as they stand in the buffer: text without its quotes and with its
/// escapes, numbers and arrays as written. Empty: absent.
struct TraceEvent {
  std::string_view phase, category, name, ts, duration;
  std::string_view grid, block, shared_memory, graph_id, graph_node_id, bytes;
};

/// Where reading a value stopped.
struct Scanned {
  enum class Outcome { kDone, kNeedMore, kBad } outcome = Outcome::kDone;
  const char* next = nullptr;  ///< kDone: behind the value; kBad: the byte that is wrong
  const char* wanted = "";     ///< kBad: what is wanted there
};

/// Reads the object that begins at `begin`. Only strings, brackets and commas are looked at; numbers
/// and words are taken as they are, since some writers print "inf" or "nan".
[[nodiscard]] Scanned scan_event(const char* begin, const char* end, TraceEvent& event);

/// Passes over one value of any kind.
[[nodiscard]] Scanned scan_value(const char* begin, const char* end);

/// A string's text without its escapes.
///   Errors: Error(kBadFile) naming `what` for an escape that is none.
std::string unescaped(std::string_view text, std::string_view what);

}  // namespace nvllm::bench
