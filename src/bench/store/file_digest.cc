// The file is mapped, not read: raw traces are larger than what the machine has to spare, and the
// pages of a mapping can be dropped again.

#include "bench/store/file_digest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <span>

#include "base/error.h"
#include "base/hashing.h"

namespace nvllm::bench {

namespace {

[[noreturn]] void refuse(ErrorKind kind, const std::filesystem::path& path, std::string_view what) {
  throw Error(kind, fmt::format("{}: {}: {}", path.string(), what, std::strerror(errno)));
}

/// A mapped file; gives back descriptor and pages when the scope ends.
class Mapping {
 public:
  explicit Mapping(const std::filesystem::path& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) refuse(ErrorKind::kNotFound, path, "cannot be opened");
    struct stat info {};
    if (::fstat(fd_, &info) != 0) fail(path, "cannot read its size");
    if (!S_ISREG(info.st_mode)) {
      errno = EINVAL;
      fail(path, "not a regular file");
    }
    bytes_ = static_cast<std::size_t>(info.st_size);
    if (bytes_ == 0) return;
    data_ = ::mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, fd_, 0);
    if (data_ == MAP_FAILED) fail(path, "cannot be mapped");
    ::madvise(data_, bytes_, MADV_SEQUENTIAL);
  }
  ~Mapping() {
    if (bytes_ > 0) ::munmap(data_, bytes_);
    ::close(fd_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), bytes_}; }

 private:
  [[noreturn]] void fail(const std::filesystem::path& path, std::string_view what) {
    const int reason = errno;
    ::close(fd_);
    errno = reason;
    refuse(ErrorKind::kBadFile, path, what);
  }

  int fd_;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace

FileDigest digest_file(const std::filesystem::path& path) {
  const Mapping file(path);
  return {static_cast<std::int64_t>(file.bytes().size()), sha256_hex(file.bytes())};
}

}  // namespace nvllm::bench
