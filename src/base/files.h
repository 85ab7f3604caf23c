#pragma once

#include <cstdint>
#include <filesystem>
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

}  // namespace nvllm
