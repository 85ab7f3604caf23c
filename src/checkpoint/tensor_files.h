#pragma once

// All tensors of a checkpoint folder by name, whichever shard they lie in.

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/safetensors.h"

namespace nvllm::checkpoint {

/// A tensor and the index of the file it lies in.
struct StoredTensor {
  TensorInfo info;
  std::size_t file_index = 0;
};

/// The map of a sharded checkpoint: tensor name to shard file name.
///   Errors: Error(kBadFile) for malformed text, a name given twice, or a shard name that is not a
///           plain file name.
std::map<std::string, std::string, std::less<>> parse_shard_map(std::string_view text,
                                                                std::string_view file_name);

/// The open weight files of one folder.
class TensorFiles {
 public:
  /// Opens model.safetensors.index.json and its shards, or else model.safetensors.
  ///   Errors: Error(kNotFound) if neither or a shard is missing; Error(kBadFile) if a header is
  ///           wrong, or map and shards disagree on which tensor lies where.
  explicit TensorFiles(const std::filesystem::path& folder);

  const std::string& folder() const { return folder_; }
  /// The tensor of that name, or null.
  const StoredTensor* find(std::string_view name) const;
  /// All tensors in the order of their names.
  const std::map<std::string, StoredTensor, std::less<>>& all() const { return tensors_; }
  std::size_t file_count() const { return files_.size(); }
  /// Path of the file a tensor lies in.
  const std::string& file_of(const StoredTensor& tensor) const;
  /// Reads a whole tensor. Thread-safe.
  ///   Errors: Error(kBadFile) if the file has become shorter.
  void read(const StoredTensor& tensor, std::span<std::byte> out) const;

 private:
  void open_shards(const std::filesystem::path& index);
  void add_file(const std::filesystem::path& path);

  std::string folder_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

}  // namespace nvllm::checkpoint
