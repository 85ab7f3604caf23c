#include "bench/store/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hashing.h"
#include "bench/store/canonical_json.h"

namespace nvllm::bench {

namespace {

constexpr std::int64_t kJournalBytesMax = 256ll << 20;

std::string first_link() { return std::string(64, '0'); }

std::string wall_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, ms % 1000);
}

/// A new file's name is durable only once its folder is.
void make_entry_durable(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

std::string line_of(const JournalEvent& event) {
  Json json;
  json["seq"] = event.seq;
  json["t_wall"] = event.t_wall;
  json["t_mono_ns"] = event.t_mono_ns;
  json["event"] = event.event;
  json["unit"] = event.unit;
  json["data"] = event.data;
  json["prev_sha256"] = event.prev_sha256;
  return canonical_json(json);
}

JournalEvent parse_line(std::string_view line, const std::string& place) {
  const Json json = parse_json(line, place);
  JournalEvent event;
  try {
    event.seq = json.at("seq").get<std::int64_t>();
    event.t_wall = json.at("t_wall").get<std::string>();
    event.t_mono_ns = json.at("t_mono_ns").get<std::int64_t>();
    event.event = json.at("event").get<std::string>();
    event.unit = json.at("unit").get<std::string>();
    event.data = json.at("data");
    event.prev_sha256 = json.at("prev_sha256").get<std::string>();
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: not an event of a journal: {}", place, error.what()));
  }
  return event;
}

}  // namespace

JournalReading parse_journal(std::string_view text, std::string_view what) {
  JournalReading reading;
  std::string link = first_link();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    if (end == std::string_view::npos) {
      reading.torn = text.substr(at);
      break;
    }
    const std::string_view line = text.substr(at, end - at);
    const std::int64_t number = static_cast<std::int64_t>(reading.events.size()) + 1;
    JournalEvent event = parse_line(line, fmt::format("{}:{}", what, number));
    if (event.prev_sha256 != link || event.seq != number) {
      throw Error(ErrorKind::kBadFile,
                  fmt::format("{}:{}: the chain is broken: seq {} after a line with hash {}, wanted seq {} after {}; a "
                              "line was changed, removed or added",
                              what, number, event.seq, event.prev_sha256, number, link));
    }
    link = sha256_hex(line);
    reading.events.push_back(std::move(event));
    at = end + 1;
    reading.whole_bytes = static_cast<std::int64_t>(at);
  }
  return reading;
}

JournalReading read_journal(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  return parse_journal(read_file(path, kJournalBytesMax), path.string());
}

Journal::Journal(const std::filesystem::path& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) refuse("cannot be opened");
  try {
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      throw Error(ErrorKind::kUnavailable,
                  fmt::format("{}: another run is writing it; wait for that run or stop it", path.string()));
    }
    const std::string text = read_file(path, kJournalBytesMax);
    if (text.empty()) make_entry_durable(path);
    reading_ = parse_journal(text, path.string());
    last_sha256_ = first_link();
    if (reading_.whole_bytes > 0) {
      const std::string_view whole =
          std::string_view(text).substr(0, static_cast<std::size_t>(reading_.whole_bytes) - 1);
      last_sha256_ = sha256_hex(whole.substr(whole.rfind('\n') + 1));
    }
    if (!reading_.torn.empty()) cut_torn_line();
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

Journal::~Journal() { ::close(fd_); }

void Journal::refuse(std::string_view what) const {
  throw Error(ErrorKind::kBadFile, fmt::format("{}: {}: {}", path_.string(), what, std::strerror(errno)));
}

void Journal::cut_torn_line() {
  if (::ftruncate(fd_, reading_.whole_bytes) != 0) refuse("its torn last line cannot be cut off");
  Json data;
  data["torn_bytes"] = reading_.torn.size();
  data["torn_sha256"] = sha256_hex(std::string_view(reading_.torn));
  reading_.torn.clear();
  append(events::kRecovered, "", data);
}

void Journal::append(std::string_view event, std::string_view unit, const Json& data) {
  if (broken_) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: an earlier event could be neither written nor taken back; free "
                                                 "disk space and resume the run",
                                                 path_.string()));
  }
  JournalEvent next;
  next.seq = static_cast<std::int64_t>(reading_.events.size()) + 1;
  next.t_wall = wall_now();
  next.t_mono_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(SystemClock().now().time_since_epoch()).count();
  next.event = event;
  next.unit = unit;
  next.data = data;
  next.prev_sha256 = last_sha256_;
  const std::string line = line_of(next);
  write_line(line);
  last_sha256_ = sha256_hex(std::string_view(line).substr(0, line.size() - 1));
  reading_.whole_bytes += static_cast<std::int64_t>(line.size());
  reading_.events.push_back(std::move(next));
}

void Journal::write_line(const std::string& line) {
  std::size_t done = 0;
  while (done < line.size()) {
    const ssize_t put = ::write(fd_, line.data() + done, line.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      const int reason = errno;
      broken_ = ::ftruncate(fd_, reading_.whole_bytes) != 0;
      errno = reason;
      refuse("an event cannot be written");
    }
    done += static_cast<std::size_t>(put);
  }
  // What a failed flush has kept is unknown, so nothing may follow it.
  if (::fsync(fd_) != 0) {
    broken_ = true;
    refuse("an event cannot be made durable");
  }
}

}  // namespace nvllm::bench
