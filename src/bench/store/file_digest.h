#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace nvllm::bench {

/// Size and SHA-256 of a file's bytes.
struct FileDigest {
  std::int64_t bytes = 0;
  std::string sha256;

  bool operator==(const FileDigest&) const = default;
};

/// Reads a whole regular file once, however large, without holding it in memory.
///   Errors: Error(kNotFound) if it cannot be opened, Error(kBadFile) if it is no regular file or
///           cannot be read.
FileDigest digest_file(const std::filesystem::path& path);

}  // namespace nvllm::bench
