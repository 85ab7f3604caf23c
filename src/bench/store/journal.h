#pragma once

// journal.jsonl: what happened, in order, each line bound to the one before by its hash. Written so
// that a crash at any moment leaves whole events and at most one torn line at the end.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace nvllm::bench {

/// One line of the journal.
struct JournalEvent {
  std::int64_t seq = 0;        ///< from 1
  std::string t_wall;          ///< UTC, "2026-05-15T21:37:50.123Z"
  std::int64_t t_mono_ns = 0;  ///< steady clock; comparable inside one boot of the machine
  std::string event;           ///< a word of events:: below, or another
  std::string unit;            ///< unit_name, or empty
  Json data = Json::object();
  std::string prev_sha256;  ///< of the line before without its '\n'; zeros for the first
};

/// The words that resuming depends on.
namespace events {
inline constexpr std::string_view kStarted = "started";      ///< data.attempt
inline constexpr std::string_view kState = "state";          ///< data.state
inline constexpr std::string_view kSealed = "sealed";        ///< data.attempt
inline constexpr std::string_view kFailed = "failed";        ///< data.attempt, data.reason
inline constexpr std::string_view kSetAside = "set_aside";   ///< data.attempt, data.to
inline constexpr std::string_view kRecovered = "recovered";  ///< a torn line was cut off
}  // namespace events

/// What a journal holds.
struct JournalReading {
  std::vector<JournalEvent> events;
  std::int64_t whole_bytes = 0;  ///< of the complete lines
  std::string torn;              ///< bytes after the last '\n': an event that was never finished
};

/// Reads a journal's text.
///   Errors: Error(kBadFile) naming `what` and the line: a complete line that is no event, or does
///           not follow from the line before.
JournalReading parse_journal(std::string_view text, std::string_view what);

/// Reads a journal; an absent file is an empty one.
JournalReading read_journal(const std::filesystem::path& path);

/// Appends to a journal that this process alone writes.
class Journal {
 public:
  /// Opens or creates it, continues its chain, and replaces a torn line by an event that tells of it.
  ///   Errors: Error(kUnavailable) if another process has it open; those of parse_journal; Error(kBadFile).
  explicit Journal(const std::filesystem::path& path);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Writes one event and waits until it is on the disk. Whoever returns from here may rely on it.
  ///   Errors: Error(kBadFile) naming the file and the system's reason. The line is taken back; if
  ///           that fails too, no further event is accepted.
  void append(std::string_view event, std::string_view unit, const Json& data = Json::object());

  const std::vector<JournalEvent>& events() const { return reading_.events; }

 private:
  void cut_torn_line();
  void write_line(const std::string& line);
  [[noreturn]] void refuse(std::string_view what) const;

  std::filesystem::path path_;
  int fd_ = -1;
  JournalReading reading_;
  std::string last_sha256_;
  bool broken_ = false;
};

}  // namespace nvllm::bench
