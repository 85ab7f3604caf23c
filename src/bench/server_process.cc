// A server of ours prints its address, since a port picked beforehand could be taken by someone
// else between the picking and the listening. Other servers want to be told their port; there
// nobody may answer at it before they are started.

#include "bench/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>
#include <utility>

#include "base/error.h"
#include "net/http_client.h"

extern char** environ;

namespace nvllm::bench {

namespace {

constexpr int kCannotStart = 127;

std::vector<std::string> words_of(const ServerOptions& options) {
  if (!options.command.empty()) return options.command;
  std::vector<std::string> words = {options.program, "serve", "--port", "0"};
  words.insert(words.end(), options.arguments.begin(), options.arguments.end());
  return words;
}

/// What exec needs, made before the fork: between fork and exec nothing may allocate.
class ExecImage {
 public:
  ExecImage(std::filesystem::path file, const ServerOptions& options)
      : file_(std::move(file)), words_(words_of(options)) {
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
  void exec() { ::execve(file_.c_str(), argv_.data(), envp_.data()); }

 private:
  std::filesystem::path file_;
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
  if (output >= 0 || log >= 0) ::dup2(output >= 0 ? output : log, STDOUT_FILENO);
  if (log >= 0) ::dup2(log, STDERR_FILENO);
  image.exec();
  ::_exit(kCannotStart);
}

/// In a child: waits until the pipe says a word or closes. Closed without a word, its writer has
/// died, and the group must not outlive it. Nothing here may allocate or lock.
[[noreturn]] void become_guard(int pipe_end, pid_t group) {
  constexpr int kLowest = 3;  // the standard streams' numbers are free to be closed, too
  ::setpgid(0, 0);
  if (pipe_end != kLowest) ::dup2(pipe_end, kLowest);
  ::close_range(kLowest + 1, ~0U, 0);
  for (int standard = 0; standard < kLowest; ++standard) ::close(standard);
  char word = 0;
  ssize_t got = -1;
  do {
    got = ::read(kLowest, &word, 1);
  } while (got < 0 && errno == EINTR);
  if (got == 0) ::kill(-group, SIGKILL);
  ::_exit(0);
}

int open_log(const std::filesystem::path& path) {
  if (path.empty()) return -1;
  const int log = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log >= 0) return log;
  throw Error(ErrorKind::kBadFile, fmt::format("{}: cannot be opened for the server's log: {}",
                                               path.string(), std::strerror(errno)));
}

bool answers_ready(const std::string& url, const std::string& path) {
  try {
    net::HttpClientOptions options;
    options.connect_time = options.silence_time = std::chrono::seconds(5);
    return net::HttpClient(url, options).get(path).status == 200;
  } catch (const Error&) {
    return false;
  }
}

/// Whether anybody listens there, whatever he would answer.
bool somebody_listens(const std::string& url) {
  try {
    net::HttpClientOptions options;
    options.connect_time = options.silence_time = std::chrono::seconds(2);
    static_cast<void>(net::HttpClient(url, options).get("/"));
    return true;
  } catch (const Error& error) {
    return std::string_view(error.what()).find("cannot connect") == std::string_view::npos;
  }
}

std::string ending(int status) {
  if (WIFEXITED(status)) return fmt::format("it ended with status {}", WEXITSTATUS(status));
  return fmt::format("signal {} ended it", WTERMSIG(status));
}

}  // namespace

std::uint16_t free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  const bool bound = descriptor >= 0 && ::bind(descriptor, generic, size) == 0 &&
                     ::getsockname(descriptor, generic, &size) == 0;
  const int fault = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (bound) return ntohs(address.sin_port);
  throw Error(ErrorKind::kUnavailable,
              fmt::format("no free loopback port: {}", std::strerror(fault)));
}

std::filesystem::path find_program(const std::string& word) {
  if (word.find('/') != std::string::npos) return word;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/bin:/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::filesystem::path file = std::filesystem::path(folder.empty() ? "." : folder) / word;
    if (std::filesystem::is_regular_file(file) && ::access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

ServerProcess::ServerProcess(const std::string& program, const std::vector<std::string>& arguments,
                             std::chrono::seconds ready_time)
    : ServerProcess(
          ServerOptions{.program = program, .arguments = arguments, .ready_time = ready_time}) {}

ServerProcess::ServerProcess(ServerOptions options)
    : options_(std::move(options)), url_(options_.url) {
  if (!url_.empty() && somebody_listens(url_)) {
    throw Error(ErrorKind::kUnavailable,
                fmt::format("{}: answers already, before the server was started: another server is "
                            "there; end it or name another port",
                            url_));
  }
  std::array<int, 2> pipe_ends = {-1, -1};
  if (url_.empty() && ::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
    throw Error(ErrorKind::kInternal,
                fmt::format("no pipe for the server's output: {}", std::strerror(errno)));
  }
  output_ = pipe_ends[0];
  try {
    spawn(pipe_ends[1]);
    if (pipe_ends[1] >= 0) ::close(std::exchange(pipe_ends[1], -1));
    url_ = wait_until_ready();
  } catch (...) {
    if (pipe_ends[1] >= 0) ::close(pipe_ends[1]);
    stop();
    if (output_ >= 0) ::close(output_);
    throw;
  }
}

void ServerProcess::spawn(int output) {
  const std::string word = words_of(options_).front();
  const std::filesystem::path file = find_program(word);
  if (file.empty() || ::access(file.c_str(), X_OK) != 0) {
    throw Error(
        ErrorKind::kUnavailable,
        fmt::format("{}: cannot be started: {}", word,
                    file.empty() ? "no program of that name in PATH" : std::strerror(errno)));
  }
  ExecImage image(file, options_);
  const int log = open_log(options_.log_file);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) become_server(image, options_.group, output, log, parent);
  const int fault = errno;
  if (log >= 0) ::close(log);
  if (pid < 0) {
    throw Error(ErrorKind::kUnavailable,
                fmt::format("{}: cannot be started: {}", word, std::strerror(fault)));
  }
  pid_ = pid;
  if (options_.group != ServerGroup::kOwn) return;
  // Both sides set it, so that it is set whoever runs first.
  ::setpgid(pid, pid);
  spawn_guard();
}

/// The parent's death ends the server itself; what that started, only a process outside of both can
/// end then.
void ServerProcess::spawn_guard() {
  std::array<int, 2> pipe_ends{};
  if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return;
  const pid_t guard = ::fork();
  if (guard == 0) {
    ::close(pipe_ends[1]);
    become_guard(pipe_ends[0], static_cast<pid_t>(pid_));
  }
  ::close(pipe_ends[0]);
  guard_pid_ = guard;
  guard_pipe_ = pipe_ends[1];
}

void ServerProcess::dismiss_guard() {
  if (guard_pipe_ < 0) return;
  static_cast<void>(!::write(guard_pipe_, ".", 1));
  ::close(std::exchange(guard_pipe_, -1));
  if (guard_pid_ > 0) ::waitpid(static_cast<pid_t>(guard_pid_), nullptr, 0);
}

/// Takes what the child has printed within `time`; false if there was nothing.
bool ServerProcess::take_output(std::chrono::milliseconds time) {
  pollfd wait{output_, POLLIN, 0};
  if (output_ < 0 || ::poll(&wait, 1, static_cast<int>(time.count())) <= 0) return false;
  std::array<char, 512> bytes{};
  const ssize_t got = ::read(output_, bytes.data(), bytes.size());
  if (got > 0) printed_.append(bytes.data(), static_cast<std::size_t>(got));
  return got > 0;
}

/// Reads what the child prints until there is an address on a line that has ended; "" until then.
std::string ServerProcess::printed_url() {
  if (!take_output(std::chrono::milliseconds(100)))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // it may be ending; alive() will say how
  const std::size_t at = printed_.find("http://"), end = printed_.find('\n', at);
  return at != std::string::npos && end != std::string::npos ? printed_.substr(at, end - at) : "";
}

std::string ServerProcess::wait_until_ready() {
  const auto deadline = std::chrono::steady_clock::now() + options_.ready_time;
  std::string url = url_, why = "its time was over";
  while (std::chrono::steady_clock::now() < deadline) {
    if (options_.while_waiting) options_.while_waiting();
    if (!alive()) {
      constexpr std::size_t kLastWords = 4096;
      while (printed_.size() < kLastWords && take_output(std::chrono::milliseconds(0))) {
      }
      why = ending(status_);
      break;
    }
    if (url.empty()) {
      url = printed_url();
      continue;
    }
    if (answers_ready(url, options_.ready_path)) return url;
    std::this_thread::sleep_for(options_.poll_time);
  }
  throw Error(ErrorKind::kUnavailable,
              fmt::format("the server did not become ready: {}; its log says why{}", why,
                          printed_.empty() ? "" : fmt::format(". It printed: '{}'", printed_)));
}

bool ServerProcess::alive() {
  if (ended_ || pid_ < 0) return false;
  const auto pid = static_cast<pid_t>(pid_);
  siginfo_t info{};
  // Left uncollected for a moment: as long as it is, no other group can have its number.
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid != pid) {
    return true;
  }
  if (options_.group == ServerGroup::kOwn) ::kill(-pid, SIGKILL);
  ended_ = ::waitpid(pid, &status_, 0) == pid;
  return !ended_;
}

void ServerProcess::deliver(int signal) const {
  const auto pid = static_cast<pid_t>(pid_);
  ::kill(options_.group == ServerGroup::kOwn ? -pid : pid, signal);
}

int ServerProcess::stop() {
  if (pid_ < 0) return -1;
  if (alive()) deliver(options_.stop_signal == StopSignal::kInt ? SIGINT : SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + options_.grace_time;
  while (alive() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!ended_) {
    was_killed_ = true;
    deliver(SIGKILL);
    ended_ = ::waitpid(static_cast<pid_t>(pid_), &status_, 0) == static_cast<pid_t>(pid_);
  }
  dismiss_guard();
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
