#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace nvllm::bench {

/// Which process group a server belongs to.
enum class ServerGroup {
  kOurs,  ///< ends with us on ^C
  kOwn,   ///< only we end it, all of it; it dies with the thread that started it
};

/// How a server is started.
struct ServerOptions {
  std::string program;
  std::vector<std::string> arguments;        ///< after `serve --port 0`
  std::map<std::string, std::string> env{};  ///< added to our own environment
  std::filesystem::path log_file{};          ///< its stderr; "" for ours
  ServerGroup group = ServerGroup::kOurs;
  std::chrono::milliseconds ready_time = std::chrono::seconds(120);
  std::function<void()> while_waiting{};  ///< called often until it is ready; may throw to give up
};

/// A server in a child process of its own, on a loopback port chosen by the system. Ended with
/// SIGTERM, and after a while with SIGKILL, when this object goes.
class ServerProcess {
 public:
  /// Starts `program serve --port 0 ARGUMENTS` and waits until its /health answers 200.
  ///   Errors: Error(kUnavailable) if it ends or is not ready in time, with its exit status and
  ///   what it printed;
  ///           whatever while_waiting throws.
  explicit ServerProcess(ServerOptions options);
  ServerProcess(const std::string& program, const std::vector<std::string>& arguments,
                std::chrono::seconds ready_time = std::chrono::seconds(120));
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  /// "http://127.0.0.1:PORT".
  const std::string& url() const { return url_; }
  std::int64_t process_id() const { return pid_; }
  /// Whether it still runs. Once it does not, stop() tells how it ended.
  bool alive();
  /// Asks it to end and returns its exit status; -1 if a signal ended it.
  int stop();

 private:
  std::string wait_for_url();
  void deliver(int signal) const;

  ServerOptions options_;
  std::int64_t pid_ = -1;
  bool ended_ = false;  ///< and waited for
  int status_ = 0;      ///< as waitpid gave it
  int output_ = -1;     ///< the child's stdout
  std::string url_;
};

/// Ends a server's whole group at once, from any thread, where it has one of its own.
void kill_server_group(std::int64_t process_id);

}  // namespace nvllm::bench
