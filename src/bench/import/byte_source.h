#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace nvllm::bench {

/// Where bytes come from: fills at most `bytes` and says how many; 0 is the end.
using RawRead = std::function<std::size_t(char* out, std::size_t bytes)>;

/// Reads a file piece by piece.
///   Errors: Error(kNotFound) at once; Error(kBadFile) from the call that fails.
RawRead read_from_file(const std::filesystem::path& path);

/// A stream of plain bytes, or of gzip members one after the other, told apart by its first bytes.
class ByteSource {
 public:
  ByteSource(RawRead raw, std::string what);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  /// Fills at most `bytes` with unpacked content; 0 at the end.
  ///   Errors: Error(kBadFile) naming the file: damaged gzip data or checksum, or other bytes after it.
  std::size_t read(char* out, std::size_t bytes);

  /// Whether the end came in the middle of a gzip member. Meaningful once read() gave 0.
  bool truncated() const;
  std::int64_t raw_bytes() const;
  std::int64_t bytes() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace nvllm::bench
