// The child prints one line with its address on stdout once it listens: a port picked beforehand
// could be taken by someone else between the picking and the listening.

#include "bench/server_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>
#include <utility>

#include "base/error.h"
#include "net/http_client.h"

extern char** environ;

namespace nvllm::bench {

namespace {

constexpr std::chrono::seconds kStopTime{40};

pid_t spawn(const std::string& program, const std::vector<std::string>& arguments, int output) {
  std::vector<std::string> words = {program, "serve", "--port", "0"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  pid_t pid = -1;
  const int failed = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    throw Error(ErrorKind::kUnavailable, fmt::format("{}: cannot be started: {}", program, std::strerror(failed)));
  }
  return pid;
}

bool healthy(const std::string& url) {
  try {
    return net::HttpClient(url).get("/health").status == 200;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

ServerProcess::ServerProcess(const std::string& program, const std::vector<std::string>& arguments,
                             std::chrono::seconds ready_time) {
  std::array<int, 2> pipe_ends{};
  if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
    throw Error(ErrorKind::kInternal, fmt::format("no pipe for the server's output: {}", std::strerror(errno)));
  }
  output_ = pipe_ends[0];
  try {
    pid_ = spawn(program, arguments, pipe_ends[1]);
  } catch (...) {
    ::close(pipe_ends[1]);
    ::close(output_);
    throw;
  }
  ::close(pipe_ends[1]);
  try {
    url_ = wait_for_url(ready_time);
  } catch (...) {
    stop();
    ::close(output_);
    throw;
  }
}

std::string ServerProcess::wait_for_url(std::chrono::seconds ready_time) {
  const auto deadline = std::chrono::steady_clock::now() + ready_time;
  std::string said;
  std::string url;
  while (std::chrono::steady_clock::now() < deadline) {
    if (url.empty()) {
      pollfd wait{output_, POLLIN, 0};
      if (::poll(&wait, 1, 100) > 0) {
        std::array<char, 512> bytes{};
        const ssize_t got = ::read(output_, bytes.data(), bytes.size());
        if (got <= 0) break;  // the child ended
        said.append(bytes.data(), static_cast<std::size_t>(got));
      }
      const std::size_t at = said.find("http://"), end = said.find('\n', at);
      if (at != std::string::npos && end != std::string::npos) url = said.substr(at, end - at);
      continue;
    }
    if (healthy(url)) return url;
    int status = 0;
    if (::waitpid(static_cast<pid_t>(pid_), &status, WNOHANG) == pid_) {
      pid_ = -1;
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  throw Error(ErrorKind::kUnavailable,
              fmt::format("the server did not become ready; its log on stderr says why. It printed: '{}'", said));
}

int ServerProcess::stop() {
  if (pid_ < 0) return -1;
  const auto pid = static_cast<pid_t>(std::exchange(pid_, -1));
  ::kill(pid, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + kStopTime;
  int status = 0;
  while (std::chrono::steady_clock::now() < deadline) {
    if (::waitpid(pid, &status, WNOHANG) == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ::kill(pid, SIGKILL);
  ::waitpid(pid, &status, 0);
  return -1;
}

ServerProcess::~ServerProcess() {
  stop();
  if (output_ >= 0) ::close(output_);
}

}  // namespace nvllm::bench
