#pragma once

// A process with the profile library in it, scripted: a thread that listens where the library would
// and writes what the library would, from kernels that the test chooses.

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "bench/profile/profile_folder.h"

namespace nvllm::bench::test {

class FakeInjection {
 public:
  /// What was launched until now since the start.
  using Kernels = std::function<void(Collector&)>;

  FakeInjection(std::filesystem::path root, int process_id, Kernels kernels)
      : root_(std::move(root)),
        socket_(root_ / fmt::format("control-{}.sock", process_id)),
        kernels_(std::move(kernels)),
        listener_(listen_at(socket_)),
        thread_([this] { serve(); }) {}
  ~FakeInjection() {
    ending_ = true;
    thread_.join();
    ::close(listener_);
    if (!leaves_its_socket) std::filesystem::remove(socket_);
  }
  FakeInjection(const FakeInjection&) = delete;
  FakeInjection& operator=(const FakeInjection&) = delete;

  std::atomic<int> starts{0}, stops{0};
  std::atomic<bool> is_silent{false};  ///< takes lines and answers none
  std::atomic<bool> leaves_its_socket{false};
  /// Answers everything so; "" as the library does.
  void answer_with(const std::string& text) {
    const std::lock_guard lock(mutex_);
    fixed_answer_ = text;
  }

 private:
  static int listen_at(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener, 4) != 0) {
      throw std::runtime_error(path.string() + ": " + std::strerror(errno));
    }
    return listener;
  }

  bool readable(int fd) const {
    while (!ending_) {
      pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
      if (::poll(&wait, 1, 10) > 0) return true;
    }
    return false;
  }

  void serve() {
    while (readable(listener_)) {
      const int client = ::accept(listener_, nullptr, nullptr);
      std::string line;
      char c = 0;
      while (readable(client) && ::read(client, &c, 1) == 1 && c != '\n') line += c;
      while (is_silent && !ending_) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      const std::string reply = answer(line) + "\n";
      if (c == '\n') static_cast<void>(::send(client, reply.data(), reply.size(), MSG_NOSIGNAL));
      ::close(client);
    }
  }

  std::string answer(const std::string& line) {
    const std::lock_guard lock(mutex_);
    if (!fixed_answer_.empty()) return fixed_answer_;
    if (line == "start") {
      ++starts;
      return R"({"started": true})";
    }
    if (line != "stop") return R"({"error": "say start or stop"})";
    ++stops;
    Collector collector;
    collector.on_clock(LaunchClock::kDeviceTrace);
    kernels_(collector);
    const Profile profile = collector.profile();
    std::int64_t calls = 0;
    for (const KernelStats& kernel : profile.kernels) calls += kernel.call_count;
    const std::filesystem::path folder =
        write_profile(root_, profile, {.leg = "injected", .device = "cuda"});
    return dump_json(Json{{"folder", folder.string()}, {"kernel_calls", calls}});
  }

  const std::filesystem::path root_, socket_;
  const Kernels kernels_;
  const int listener_;
  std::atomic<bool> ending_{false};
  std::mutex mutex_;
  std::string fixed_answer_;
  std::thread thread_;
};

/// Launches one kernel some times. The name has to live on: a collector's notes view it.
inline FakeInjection::Kernels launches(const char* kernel, int count, double us) {
  return [=](Collector& collector) {
    for (int i = 0; i < count; ++i)
      collector.on_launch({.operation = kernel, .seconds = us * 1e-6});
  };
}

}  // namespace nvllm::bench::test
