#pragma once

// How kernels are had of a server that knows nothing of profiles: libnvllm_profile.so, loaded into
// every process of it, waits at a socket of each process that uses CUDA until it is told to start
// and to stop.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace nvllm::bench {

/// The library to load: the one that the file names, else libnvllm_profile.so beside `program`; an
/// absolute path.
///   Errors: Error(kUsage) if it is not there, saying how to build it, or if its path has a
///           character that parts the names in LD_PRELOAD.
std::filesystem::path profile_library(const std::filesystem::path& named,
                                      const std::filesystem::path& program);

/// The environment that loads the library into a server: with LD_PRELOAD after what that holds
/// already, in `env` or, where that says nothing of it, in our own. Profiles and sockets go to
/// `folder`, and nothing is profiled until it is told to.
void preload_library(std::map<std::string, std::string>& env, const std::filesystem::path& library,
                     const std::filesystem::path& folder);

/// A fresh folder of the system's temporary ones, short enough for the sockets in it: their names
/// end after 107 bytes, wherever the evidence lies. It goes with everything in it.
class SocketFolder {
 public:
  /// Errors: Error(kUnavailable) if there can be none.
  SocketFolder();
  ~SocketFolder();
  SocketFolder(const SocketFolder&) = delete;
  SocketFolder& operator=(const SocketFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// How long is waited for a process's word.
struct InjectWaits {
  double answer_s = 30;     ///< to connect, and for the answer to "start"
  double profile_s = 1800;  ///< for the answer to "stop": the process writes its profile first
  /// Called about once a second while a profile is written; may throw to give up.
  std::function<void()> while_waiting{};
};

/// What a server's processes wrote.
struct InjectedProfiles {
  std::vector<std::filesystem::path> folders;  ///< of the processes that ran kernels, at least one
  std::vector<std::string> findings{};         ///< why kernels may be missing
};

/// The processes of one server that loaded the library and use CUDA.
class InjectedProcesses {
 public:
  /// `folder`: where their sockets are.
  explicit InjectedProcesses(std::filesystem::path folder, InjectWaits waits = {})
      : folder_(std::move(folder)), waits_(std::move(waits)) {}

  /// Begins a profile in each of them. One that has ended since is left out.
  ///   Errors: Error(kUnsupported) if there is none; Error(kUnavailable) naming the socket if one
  ///           does not start.
  void start();
  /// Ends the profile in each that was started.
  ///   Errors: Error(kUnsupported) if none of them ran a kernel; Error(kUnavailable) naming the
  ///           socket if one has ended, does not answer in time or cannot write its profile.
  InjectedProfiles stop();

 private:
  std::vector<std::filesystem::path> sockets() const;

  const std::filesystem::path folder_;
  const InjectWaits waits_;
  std::vector<std::filesystem::path> started_;
};

}  // namespace nvllm::bench
