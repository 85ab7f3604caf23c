#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace nvllm {

namespace {

/// Closes a file descriptor when the scope ends.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string reason() { return std::strerror(errno); }

std::size_t regular_size(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: cannot read its size: {}", path.string(), reason()));
  }
  if (!S_ISREG(info.st_mode)) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: not a regular file", path.string()));
  }
  return static_cast<std::size_t>(info.st_size);
}

Descriptor open_for_reading(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw Error(ErrorKind::kNotFound, fmt::format("{}: cannot be opened: {}", path.string(), reason()));
  }
  return Descriptor(fd);
}

}  // namespace

std::string read_file(const std::filesystem::path& path, std::int64_t bytes_max) {
  const Descriptor file = open_for_reading(path);
  const std::size_t size = regular_size(file.get(), path);
  if (size > static_cast<std::size_t>(bytes_max)) {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: {} bytes, more than the limit of {}",
                                                 path.string(), size, bytes_max));
  }
  std::string content(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file.get(), content.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}: read stopped at byte {} of {}: {}",
                                                   path.string(), done, size,
                                                   got == 0 ? "end of file" : reason()));
    }
    done += static_cast<std::size_t>(got);
  }
  return content;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path temporary = path.string() + fmt::format(".tmp-{}", ::getpid());
  const auto refuse = [&](std::string_view what) {
    const std::string why = reason();
    ::unlink(temporary.c_str());
    throw Error(ErrorKind::kBadFile, fmt::format("{}: {}: {}", path.string(), what, why));
  };
  {
    const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) refuse("cannot be created");
    std::size_t done = 0;
    while (done < content.size()) {
      const ssize_t put = ::write(file.get(), content.data() + done, content.size() - done);
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) refuse("cannot be written");
      done += static_cast<std::size_t>(put);
    }
    if (::fsync(file.get()) != 0) refuse("cannot be made durable");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) refuse("cannot be renamed into place");
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
}

}  // namespace nvllm
