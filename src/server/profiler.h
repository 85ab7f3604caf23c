#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace nvllm::server {

enum class ProfileStart { kStarted, kAlreadyRunning };

/// What a finished profile left behind.
struct ProfileResult {
  std::string folder;  ///< where its files are, all complete
  std::int64_t decode_steps = 0, prefills = 0, kernel_calls = 0;
};

/// What the server needs in order to profile on request. A seam: the collector lives above.
class Profiler {
 public:
  virtual ~Profiler() = default;
  /// Begins with the next step. May wait for the step that is running.
  ///   Errors: any exception; nothing is running then.
  [[nodiscard]] virtual ProfileStart start() = 0;
  /// Ends after the step that is running and writes the files; nothing if no profile was running.
  ///   Errors: Error(kBadFile) if a file cannot be written; the profile is over then, too.
  [[nodiscard]] virtual std::optional<ProfileResult> stop() = 0;
};

}  // namespace nvllm::server
