// The child prints one line with its address on stdout once it listens: a port picked beforehand
// could be taken by someone else between the picking and the listening.

#include "bench/server_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/error.h"
#include "net/http_client.h"

extern char** environ;

namespace nvllm::bench {

namespace {

constexpr std::chrono::seconds kStopTime{40};
constexpr int kCannotStart = 127;

/// What exec needs, made before the fork: between fork and exec nothing may allocate.
class ExecImage {
 public:
  explicit ExecImage(const ServerOptions& options)
      : words_{options.program, "serve", "--port", "0"} {
    words_.insert(words_.end(), options.arguments.begin(), options.arguments.end());
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string text = *entry;
      if (!options.env.contains(text.substr(0, text.find('=')))) variables_.push_back(text);
    }
    for (const auto& [name, value] : options.env) variables_.push_back(name + "=" + value);
    for (std::string& word : words_) argv_.push_back(word.data());
    for (std::string& variable : variables_) envp_.push_back(variable.data());
    argv_.push_back(nullptr);
    envp_.push_back(nullptr);
  }
  void exec() { ::execve(argv_[0], argv_.data(), envp_.data()); }

 private:
  std::vector<std::string> words_, variables_;
  std::vector<char*> argv_, envp_;
};

/// In the child: nothing here may allocate or lock.
[[noreturn]] void become_server(ExecImage& image, ServerGroup group, int output, int log,
                                pid_t parent) {
  if (group == ServerGroup::kOwn) {
    ::setpgid(0, 0);
    // A bench killed with SIGKILL cannot clean up: its server must not go on computing.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(kCannotStart);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(output, STDOUT_FILENO);
  if (log >= 0) ::dup2(log, STDERR_FILENO);
  image.exec();
  ::_exit(kCannotStart);
}

pid_t spawn(const ServerOptions& options, int output) {
  if (::access(options.program.c_str(), X_OK) != 0) {
    throw Error(ErrorKind::kUnavailable,
                fmt::format("{}: cannot be started: {}", options.program, std::strerror(errno)));
  }
  ExecImage image(options);
  int log = -1;
  if (!options.log_file.empty()) {
    log = ::open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) {
      throw Error(ErrorKind::kBadFile,
                  fmt::format("{}: cannot be opened for the server's log: {}",
                              options.log_file.string(), std::strerror(errno)));
    }
  }
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) become_server(image, options.group, output, log, parent);
  const int fault = errno;
  if (log >= 0) ::close(log);
  if (pid < 0) {
    throw Error(ErrorKind::kUnavailable,
                fmt::format("{}: cannot be started: {}", options.program, std::strerror(fault)));
  }
  // Both sides set it, so that it is set whoever runs first.
  if (options.group == ServerGroup::kOwn) ::setpgid(pid, pid);
  return pid;
}

bool healthy(const std::string& url) {
  try {
    return net::HttpClient(url).get("/health").status == 200;
  } catch (const Error&) {
    return false;
  }
}

std::string ending(int status) {
  if (WIFEXITED(status)) return fmt::format("it ended with status {}", WEXITSTATUS(status));
  return fmt::format("signal {} ended it", WTERMSIG(status));
}

}  // namespace

ServerProcess::ServerProcess(const std::string& program, const std::vector<std::string>& arguments,
                             std::chrono::seconds ready_time)
    : ServerProcess(
          ServerOptions{.program = program, .arguments = arguments, .ready_time = ready_time}) {}

ServerProcess::ServerProcess(ServerOptions options) : options_(std::move(options)) {
  std::array<int, 2> pipe_ends{};
  if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
    throw Error(ErrorKind::kInternal,
                fmt::format("no pipe for the server's output: {}", std::strerror(errno)));
  }
  output_ = pipe_ends[0];
  try {
    pid_ = spawn(options_, pipe_ends[1]);
  } catch (...) {
    ::close(pipe_ends[1]);
    ::close(output_);
    throw;
  }
  ::close(pipe_ends[1]);
  try {
    url_ = wait_for_url();
  } catch (...) {
    stop();
    ::close(output_);
    throw;
  }
}

std::string ServerProcess::wait_for_url() {
  const auto deadline = std::chrono::steady_clock::now() + options_.ready_time;
  std::string said, url, why = "its time was over";
  while (std::chrono::steady_clock::now() < deadline) {
    if (options_.while_waiting) options_.while_waiting();
    if (!alive()) {
      why = ending(status_);
      break;
    }
    if (!url.empty()) {
      if (healthy(url)) return url;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    pollfd wait{output_, POLLIN, 0};
    if (::poll(&wait, 1, 100) > 0) {
      std::array<char, 512> bytes{};
      const ssize_t got = ::read(output_, bytes.data(), bytes.size());
      if (got > 0) said.append(bytes.data(), static_cast<std::size_t>(got));
      if (got <= 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));  // it ends; alive() will say how
    }
    const std::size_t at = said.find("http://"), end = said.find('\n', at);
    if (at != std::string::npos && end != std::string::npos) url = said.substr(at, end - at);
  }
  throw Error(ErrorKind::kUnavailable,
              fmt::format("the server did not become ready: {}; its log says why. It printed: '{}'",
                          why, said));
}

bool ServerProcess::alive() {
  if (ended_) return false;
  ended_ = ::waitpid(static_cast<pid_t>(pid_), &status_, WNOHANG) == static_cast<pid_t>(pid_);
  return !ended_;
}

void ServerProcess::deliver(int signal) const {
  const auto pid = static_cast<pid_t>(pid_);
  ::kill(options_.group == ServerGroup::kOwn ? -pid : pid, signal);
}

int ServerProcess::stop() {
  if (pid_ < 0) return -1;
  if (alive()) deliver(SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + kStopTime;
  while (alive() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!ended_) {
    deliver(SIGKILL);
    ended_ = ::waitpid(static_cast<pid_t>(pid_), &status_, 0) == static_cast<pid_t>(pid_);
  }
  pid_ = -1;
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
}

ServerProcess::~ServerProcess() {
  stop();
  if (output_ >= 0) ::close(output_);
}

void kill_server_group(std::int64_t process_id) {
  if (process_id > 1) ::kill(-static_cast<pid_t>(process_id), SIGKILL);
}

}  // namespace nvllm::bench
