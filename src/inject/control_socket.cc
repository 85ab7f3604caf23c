#include "inject/control_socket.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace nvllm::inject {

namespace {

constexpr std::size_t kLineMax = 256;
constexpr int kClientMs = 2000;  // for a client to say something

[[noreturn]] void refuse(const std::filesystem::path& path, const char* what) {
  throw Error(ErrorKind::kUsage, fmt::format("{}: {}: {}", path.string(), what, std::strerror(errno)));
}

/// Whether there is something to read before `wake` closes or time is up; negative: no limit.
bool wait_for(int fd, int wake, int milliseconds) {
  pollfd fds[] = {{.fd = fd, .events = POLLIN, .revents = 0}, {.fd = wake, .events = POLLIN, .revents = 0}};
  int ready = 0;
  do {
    ready = ::poll(fds, 2, milliseconds);
  } while (ready < 0 && errno == EINTR);
  return ready > 0 && fds[1].revents == 0;
}

}  // namespace

ControlSocket::ControlSocket(std::filesystem::path path, Answer answer) : path_(std::move(path)), answer_(std::move(answer)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.native().size() >= sizeof address.sun_path) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: too long for a socket's name; give a shorter folder", path_.string()));
  }
  std::memcpy(address.sun_path, path_.c_str(), path_.native().size());
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener_ < 0) refuse(path_, "no socket");
  ::unlink(path_.c_str());
  const mode_t mask = ::umask(0077);
  const int bound = ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  ::umask(mask);
  if (bound != 0 || ::listen(listener_, 4) != 0 || ::pipe(wake_) != 0) {
    ::close(listener_);
    refuse(path_, "cannot be listened at");
  }
  thread_ = std::thread([this] { serve(); });
}

ControlSocket::~ControlSocket() {
  ::close(wake_[1]);
  thread_.join();
  ::close(wake_[0]);
  ::close(listener_);
  ::unlink(path_.c_str());
}

void ControlSocket::serve() const {
  while (wait_for(listener_, wake_[0], -1)) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    serve(client);
    ::close(client);
  }
}

void ControlSocket::serve(int client) const {
  std::string line;
  while (line.size() < kLineMax && wait_for(client, wake_[0], kClientMs)) {
    char c = 0;
    if (::read(client, &c, 1) != 1) return;
    if (c == '\n') {
      const std::string reply = answer_(line) + "\n";
      static_cast<void>(::send(client, reply.data(), reply.size(), MSG_NOSIGNAL));
      return;
    }
    line += c;
  }
}

}  // namespace nvllm::inject
