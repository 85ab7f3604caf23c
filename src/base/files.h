#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace nvllm {

/// Reads a whole file of at most `bytes_max` bytes.
///   Errors: Error(kNotFound) if it cannot be opened, Error(kBadFile) if it is larger or a read fails.
std::string read_file(const std::filesystem::path& path, std::int64_t bytes_max);

/// Writes a file so that a crash leaves either the old content or the new: temporary file, fsync,
/// rename, fsync of the folder.
///   Errors: Error(kBadFile) naming the path and the system's reason.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// A file mapped read-only. Owns the mapping; the bytes live as long as this object.
class MappedFile {
 public:
  /// Errors: Error(kNotFound) if it cannot be opened, Error(kBadFile) if it is not a regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  /// Tells the system that a range has been read for the last time, so that its pages stop
  /// counting as resident. The bytes stay readable.
  void release(std::span<const std::byte> range) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace nvllm
