#include "bench/import/byte_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"

namespace nvllm::bench {

namespace {

constexpr std::size_t kBlock = 256 << 10;

}  // namespace

RawRead read_from_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw Error(ErrorKind::kNotFound, fmt::format("{}: cannot be opened: {}", path.string(), std::strerror(errno)));
  }
  // Shared, because a std::function is copied.
  const std::shared_ptr<const int> owner(new int(fd), [](const int* held) {
    ::close(*held);
    delete held;
  });
  return [owner, path](char* out, std::size_t bytes) -> std::size_t {
    while (true) {
      const ssize_t got = ::read(*owner, out, bytes);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EINTR) continue;
      throw Error(ErrorKind::kBadFile, fmt::format("{}: cannot be read: {}", path.string(), std::strerror(errno)));
    }
  };
}

class ByteSource::State {
 public:
  State(RawRead raw, std::string what) : raw_(std::move(raw)), what_(std::move(what)), input_(kBlock) {
    // Two bytes tell; a source may hand them over one at a time.
    while (filled_ < 2 && pull()) {
    }
    packed_ = filled_ >= 2 && byte(0) == 0x1f && byte(1) == 0x8b;
    if (packed_ && ::inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) {
      throw Error(ErrorKind::kInternal, fmt::format("{}: zlib cannot start", what_));
    }
  }
  ~State() {
    if (packed_) ::inflateEnd(&stream_);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  std::size_t read(char* out, std::size_t bytes) {
    const std::size_t got = packed_ ? unpack(out, bytes) : copy(out, bytes);
    bytes_ += static_cast<std::int64_t>(got);
    return got;
  }

  bool truncated() const { return packed_ && in_member_; }
  std::int64_t raw_bytes() const { return raw_bytes_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  unsigned byte(std::size_t index) const { return static_cast<unsigned char>(input_[used_ + index]); }
  std::size_t left() const { return filled_ - used_; }

  /// Reads another piece of raw bytes behind those that are left.
  bool pull() {
    if (used_ > 0) {
      std::memmove(input_.data(), input_.data() + used_, left());
      filled_ -= used_;
      used_ = 0;
    }
    if (filled_ == input_.size()) return true;
    const std::size_t got = raw_(input_.data() + filled_, input_.size() - filled_);
    filled_ += got;
    raw_bytes_ += static_cast<std::int64_t>(got);
    return got > 0;
  }

  std::size_t copy(char* out, std::size_t bytes) {
    if (left() == 0) return raw_bytes_counted(raw_(out, bytes));
    const std::size_t taken = std::min(bytes, left());
    std::memcpy(out, input_.data() + used_, taken);
    used_ += taken;
    return taken;
  }

  std::size_t raw_bytes_counted(std::size_t got) {
    raw_bytes_ += static_cast<std::int64_t>(got);
    return got;
  }

  /// Whether another member begins here. Zeros may pad the end, as tape formats leave them.
  bool next_member() {
    while (true) {
      while (left() > 0 && byte(0) == 0) ++used_;
      if (left() >= 2) break;
      if (!pull()) break;
    }
    if (left() == 0) return false;
    if (left() < 2 || byte(0) != 0x1f || byte(1) != 0x8b) {
      throw Error(ErrorKind::kBadFile, fmt::format("{}: other bytes after the gzip data, near byte {}", what_,
                                                   raw_bytes_ - static_cast<std::int64_t>(left())));
    }
    ::inflateReset(&stream_);
    return true;
  }

  std::size_t unpack(char* out, std::size_t bytes) {
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(bytes, 1u << 30));
    const uInt asked = stream_.avail_out;
    while (stream_.avail_out == asked) {
      if (!in_member_) {
        if (started_ && !next_member()) return 0;
        in_member_ = started_ = true;
      }
      if (left() == 0 && !pull()) return 0;
      stream_.next_in = reinterpret_cast<Bytef*>(input_.data() + used_);
      stream_.avail_in = static_cast<uInt>(left());
      const int outcome = ::inflate(&stream_, Z_NO_FLUSH);
      used_ = filled_ - stream_.avail_in;
      if (outcome == Z_STREAM_END) {
        in_member_ = false;
      } else if (outcome != Z_OK && outcome != Z_BUF_ERROR) {
        throw Error(ErrorKind::kBadFile, fmt::format("{}: damaged gzip data near byte {}: {}", what_,
                                                     raw_bytes_ - static_cast<std::int64_t>(left()),
                                                     stream_.msg != nullptr ? stream_.msg : "unknown"));
      }
    }
    return asked - stream_.avail_out;
  }

  RawRead raw_;
  std::string what_;
  std::vector<char> input_;
  std::size_t used_ = 0, filled_ = 0;
  std::int64_t raw_bytes_ = 0, bytes_ = 0;
  z_stream stream_{};
  bool packed_ = false, started_ = false, in_member_ = false;
};

ByteSource::ByteSource(RawRead raw, std::string what)
    : state_(std::make_unique<State>(std::move(raw), std::move(what))) {}
ByteSource::~ByteSource() = default;

std::size_t ByteSource::read(char* out, std::size_t bytes) { return state_->read(out, bytes); }
bool ByteSource::truncated() const { return state_->truncated(); }
std::int64_t ByteSource::raw_bytes() const { return state_->raw_bytes(); }
std::int64_t ByteSource::bytes() const { return state_->bytes(); }

}  // namespace nvllm::bench
