#include "bench/run/injected_processes.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "bench/store/json_field.h"

namespace nvllm::bench {

namespace fs = std::filesystem;

namespace {

constexpr const char* kLibrary = "libnvllm_profile.so";
constexpr std::string_view kSocketBegin = "control-", kSocketEnd = ".sock";
constexpr std::string_view kLongestSocketName =
    "control-4194304.sock";  // the largest process id that Linux gives
constexpr std::size_t kAnswerBytesMax = 1 << 16;
constexpr int kSliceMs = 1000;  // between two calls of while_waiting

/// A socket's name without its folder: the folder is a passing one, and evidence names no places of
/// a machine.
[[noreturn]] void refuse(const fs::path& socket, const std::string& why) {
  throw Error(ErrorKind::kUnavailable, fmt::format("{}: {}", socket.filename().string(), why));
}

/// A connection to one process.
class Connection {
 public:
  explicit Connection(const fs::path& socket)
      : socket_(socket), fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (fd_ < 0) refuse(socket_, std::strerror(errno));
  }
  ~Connection() { ::close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Returns: false if nobody is there any more: a process that ended without tidying up leaves its
  /// socket behind.
  bool connect(double seconds) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_.native().size() >= sizeof address.sun_path)
      refuse(socket_, "its folder's name is too long for a socket");
    std::memcpy(address.sun_path, socket_.c_str(), socket_.native().size());
    // Bounds connecting, too: it waits while more clients than the process takes are waiting.
    const timeval limit{.tv_sec = static_cast<time_t>(seconds), .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
      return true;
    if (errno == ECONNREFUSED || errno == ENOENT) return false;
    refuse(socket_, fmt::format("cannot be connected to: {}", std::strerror(errno)));
  }

  /// The process's answer to a line.
  Json ask(const std::string& command, double seconds, const std::function<void()>& while_waiting) {
    const std::string line = command + "\n";
    if (::send(fd_, line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) {
      refuse(socket_, fmt::format("takes no '{}': {}", command, std::strerror(errno)));
    }
    Json answer;
    const std::string text = read_line(command, seconds, while_waiting);
    try {
      answer = parse_json(text, socket_.filename().string());
    } catch (const Error& error) {
      refuse(socket_, fmt::format("answers '{}' with no JSON: {}", command, error.what()));
    }
    if (!answer.is_object())
      refuse(socket_, fmt::format("answers '{}' with '{}', wanted an object", command, text));
    if (const auto fault = maybe_text(answer, "error", socket_.filename().string())) {
      refuse(socket_, fmt::format("does not {}: {}", command, *fault));
    }
    return answer;
  }

 private:
  std::string read_line(const std::string& command, double seconds,
                        const std::function<void()>& while_waiting) {
    const SystemClock clock;
    const SteadyTime begin = clock.now();
    std::string text;
    while (seconds_between(begin, clock.now()) < seconds) {
      if (while_waiting) while_waiting();
      pollfd wait{.fd = fd_, .events = POLLIN, .revents = 0};
      const double left_ms = (seconds - seconds_between(begin, clock.now())) * 1e3;
      if (::poll(&wait, 1, static_cast<int>(std::clamp(left_ms, 1.0, double{kSliceMs}))) <= 0)
        continue;
      char bytes[512];
      const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
      if (got <= 0) refuse(socket_, fmt::format("ended without a whole answer to '{}'", command));
      text.append(bytes, static_cast<std::size_t>(got));
      if (text.back() == '\n') return text;
      if (text.size() > kAnswerBytesMax)
        refuse(socket_, fmt::format("answers '{}' with too much", command));
    }
    refuse(socket_, fmt::format("no answer to '{}' within {:g} s", command, seconds));
  }

  const fs::path socket_;
  const int fd_;
};

}  // namespace

fs::path profile_library(const fs::path& named, const fs::path& program) {
  const fs::path library =
      fs::absolute(named.empty() ? program.parent_path() / kLibrary : named).lexically_normal();
  if (!fs::is_regular_file(library)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("'profile.method' is \"inject\", but there is no {}; build it with "
                            "`tools/build release nvllm_profile`, "
                            "which needs a CUDA compiler, or name it in 'profile.library'",
                            library.string()));
  }
  if (library.native().find_first_of(" :") != std::string::npos) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format(
            "{}: LD_PRELOAD can name no file with a space or a colon in its path; put it elsewhere",
            library.string()));
  }
  return library;
}

void preload_library(std::map<std::string, std::string>& env, const fs::path& library,
                     const fs::path& folder) {
  std::string before;
  if (const char* own = std::getenv("LD_PRELOAD"); own != nullptr) before = own;
  if (const auto given = env.find("LD_PRELOAD"); given != env.end()) before = given->second;
  // Behind what is there: a sanitizer's library insists on being first.
  env["LD_PRELOAD"] = before.empty() ? library.string() : before + ":" + library.string();
  env["NVLLM_PROFILE_DIR"] = folder.string();
  env["NVLLM_PROFILE_START"] = "wait";
}

SocketFolder::SocketFolder() {
  std::error_code fault;
  fs::path parent = fs::temp_directory_path(fault);
  const std::string own = "/nvllm-XXXXXX/";
  if (fault || parent.native().size() + own.size() + kLongestSocketName.size() >=
                   sizeof(sockaddr_un::sun_path))
    parent = "/tmp";
  std::string pattern = (parent / "nvllm-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw Error(ErrorKind::kUnavailable,
                fmt::format("{}: no folder for the sockets of profiled processes: {}",
                            parent.string(), std::strerror(errno)));
  }
  path_ = pattern;
}

SocketFolder::~SocketFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::vector<fs::path> InjectedProcesses::sockets() const {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kSocketBegin) && name.ends_with(kSocketEnd)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void InjectedProcesses::start() {
  started_.clear();
  for (const fs::path& socket : sockets()) {
    Connection process(socket);
    if (!process.connect(waits_.answer_s)) continue;
    process.ask("start", waits_.answer_s, {});
    started_.push_back(socket);
  }
  if (!started_.empty()) return;
  throw Error(ErrorKind::kUnsupported,
              "no process of the server loaded the profile library and used CUDA; its log may say "
              "why: programs that change their "
              "user and those in containers ignore LD_PRELOAD, and the library needs libcupti and "
              "no other profiler");
}

InjectedProfiles InjectedProcesses::stop() {
  InjectedProfiles found;
  for (const fs::path& socket : started_) {
    Connection process(socket);
    if (!process.connect(waits_.answer_s))
      refuse(socket, "the process has ended while it was profiled");
    const Json answer = process.ask("stop", waits_.profile_s, waits_.while_waiting);
    const std::string what = socket.filename().string();
    const fs::path written = text_field(answer, "folder", what);
    // Read where we told it to write, however the process calls that place.
    if (int_field(answer, "kernel_calls", what) > 0)
      found.folders.push_back(folder_ / written.filename());
  }
  for (const fs::path& socket : sockets()) {
    if (std::find(started_.begin(), started_.end(), socket) != started_.end()) continue;
    if (Connection process(socket); !process.connect(waits_.answer_s)) continue;
    found.findings.push_back(
        "a process began to use CUDA while others were profiled: its kernels are missing");
  }
  if (!found.folders.empty()) return found;
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format(
          "{} processes of the server loaded the profile library and none of them ran a kernel",
          started_.size()));
}

}  // namespace nvllm::bench
