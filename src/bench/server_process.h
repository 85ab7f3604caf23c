#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace nvllm::bench {

/// A server in a child process of its own, on a loopback port chosen by the system. Ended with
/// SIGTERM, and after a while with SIGKILL, when this object goes.
class ServerProcess {
 public:
  /// Starts `program serve --port 0 ARGUMENTS` and waits until its /health answers 200.
  ///   Errors: Error(kUnavailable) with the last lines of its log if it ends or is not ready in time.
  ServerProcess(const std::string& program, const std::vector<std::string>& arguments,
                std::chrono::seconds ready_time = std::chrono::seconds(120));
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  /// "http://127.0.0.1:PORT".
  const std::string& url() const { return url_; }
  std::int64_t process_id() const { return pid_; }
  /// Asks it to end and returns its exit status; -1 if it had to be killed.
  int stop();

 private:
  std::string wait_for_url(std::chrono::seconds ready_time);

  std::int64_t pid_ = -1;
  int output_ = -1;  ///< the child's stdout
  std::string url_;
};

}  // namespace nvllm::bench
