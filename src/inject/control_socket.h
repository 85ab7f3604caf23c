#pragma once

// How a person or a program starts and stops a profile in another process: a Unix socket in a folder of their own.

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

namespace nvllm::inject {

/// Answers lines on a socket, one client at a time, in a thread of its own.
class ControlSocket {
 public:
  /// The answer to one line, without its end.
  using Answer = std::function<std::string(std::string_view command)>;

  /// Listens at `path`, in place of a socket left there by a process that has ended; only its owner may connect.
  ///   Errors: Error(kUsage) naming the path.
  ControlSocket(std::filesystem::path path, Answer answer);
  /// Ends the thread and removes the socket.
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

 private:
  void serve() const;
  void serve(int client) const;

  std::filesystem::path path_;
  Answer answer_;
  int listener_ = -1;
  int wake_[2] = {-1, -1};  ///< a pipe; its end being closed ends the thread
  std::thread thread_;
};

}  // namespace nvllm::inject
