#pragma once

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

namespace nvllm {

/// Why a unit of work ended. The process maps kinds to exit codes, the server to HTTP statuses.
enum class ErrorKind {
  kUsage,         ///< a flag, a request field or a call is wrong
  kNotFound,      ///< a file or a name does not exist
  kBadFile,       ///< a file exists but does not hold what it should
  kUnsupported,   ///< well-formed, but not something nvllm can do
  kOutOfBudget,   ///< memory or another planned resource does not suffice
  kUnavailable,   ///< try again later: queue full, draining, port in use
  kDevice,        ///< the accelerator failed
  kInternal,      ///< a fault of nvllm itself that ended only this unit of work
};

/// The short name of a kind, as logs and JSON show it: "usage", "bad_file", ...
std::string_view to_string(ErrorKind kind);

/// Thrown when the present unit of work (process, request, engine step, leg) is over.
/// The message says what happened, to which file or field, the value seen, the value wanted and
/// what to try next.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message,
        std::source_location where = std::source_location::current())
      : std::runtime_error(message), kind_(kind), where_(where) {}

  ErrorKind kind() const { return kind_; }
  const std::source_location& where() const { return where_; }

 private:
  ErrorKind kind_;
  std::source_location where_;
};

}  // namespace nvllm
