#pragma once

// One line per event on stderr: time, level, room, message. stdout belongs to results.
// Only engine, server, bench and cli log; the rooms below throw or return.

#include <string>
#include <string_view>

namespace nvllm {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

/// Writes one line; control characters inside `message` are escaped, so a request cannot forge one.
void log(LogLevel level, std::string_view room, std::string_view message);

/// Sets the lowest level that is written. The default is kInfo.
void set_log_level(LogLevel level);

/// "debug", "info", "warning", "error" or "off"; Error(kUsage) otherwise.
LogLevel parse_log_level(std::string_view name);

}  // namespace nvllm
