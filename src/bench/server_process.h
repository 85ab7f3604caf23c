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

/// How a server is asked to end.
enum class StopSignal { kTerm, kInt };

/// How a server is started.
struct ServerOptions {
  std::string program{};
  std::vector<std::string> arguments{};  ///< after `serve --port 0`
  /// The whole command line of a server of another kind; its first word is looked up in PATH. It
  /// says nothing of where it listens, so `url` does. In place of `program` and `arguments`.
  std::vector<std::string> command{};
  std::string url{};  ///< where it will answer; "": it prints that on its stdout
  std::string ready_path = "/health";
  std::chrono::milliseconds poll_time{20};
  StopSignal stop_signal = StopSignal::kTerm;
  std::chrono::milliseconds grace_time = std::chrono::seconds(40);  ///< before SIGKILL
  std::map<std::string, std::string> env{};  ///< added to our own environment
  std::filesystem::path log_file{};  ///< its stderr (with a `url` also its stdout); "" for ours
  ServerGroup group = ServerGroup::kOurs;
  std::chrono::milliseconds ready_time = std::chrono::seconds(120);
  std::function<void()> while_waiting{};  ///< called often until it is ready; may throw to give up
};

/// A server in a child process of its own. Ended with a signal, and after a while with SIGKILL,
/// when this object goes; in a group of its own whatever it started ends with it, and all of it
/// ends when this process dies, however it does.
class ServerProcess {
 public:
  /// Starts `program serve --port 0 ARGUMENTS`, or the command, and waits until its ready page
  /// answers 200.
  ///   Errors: Error(kUnavailable) if something answers at `url` already, if it cannot be started,
  ///           ends, or is not ready in time, with its exit status and what it printed;
  ///           whatever while_waiting throws.
  explicit ServerProcess(ServerOptions options);
  ServerProcess(const std::string& program, const std::vector<std::string>& arguments,
                std::chrono::seconds ready_time = std::chrono::seconds(120));
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  /// "http://127.0.0.1:PORT", or the one given.
  const std::string& url() const { return url_; }
  std::int64_t process_id() const { return pid_; }
  /// Whether it still runs. Once it does not, stop() tells how it ended.
  bool alive();
  /// Asks it to end and returns its exit status; -1 if a signal ended it.
  int stop();
  /// Whether it had to be killed because its grace time was over.
  bool was_killed() const { return was_killed_; }

 private:
  void spawn(int output);
  void spawn_guard();
  void dismiss_guard();
  std::string wait_until_ready();
  bool take_output(std::chrono::milliseconds time);
  std::string printed_url();
  void deliver(int signal) const;

  ServerOptions options_;
  std::int64_t pid_ = -1;
  std::int64_t guard_pid_ = -1;
  int guard_pipe_ = -1;
  bool ended_ = false;  ///< and waited for
  bool was_killed_ = false;
  int status_ = 0;   ///< as waitpid gave it
  int output_ = -1;  ///< the child's stdout, where it is to print its address
  std::string url_, printed_;
};

/// A loopback port that nobody listens on at this moment.
///   Errors: Error(kUnavailable) if the system has none.
std::uint16_t free_port();

/// The file that a command's first word stands for: itself with a '/' in it, else the first
/// executable of that name in PATH; empty where there is none.
std::filesystem::path find_program(const std::string& word);

/// Ends a server's whole group at once, from any thread, where it has one of its own.
void kill_server_group(std::int64_t process_id);

}  // namespace nvllm::bench
