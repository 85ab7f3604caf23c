#pragma once

// Writes checkpoints tensor by tensor, so that no more than one module is in memory.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace nvllm::checkpoint {

/// A tensor that will be written.
struct OutputTensor {
  std::string name;
  DType dtype = DType::kBf16;
  std::vector<std::int64_t> shape;

  std::int64_t bytes() const;
};

/// Receives the next bytes of one of an item's tensors, by its index in the item.
using AppendBytes = std::function<void(std::size_t tensor, std::span<const std::byte> bytes)>;

/// Tensors that are made together; `write` is called once and must deliver all their bytes.
struct OutputItem {
  std::vector<OutputTensor> tensors;
  std::function<void(const AppendBytes& append)> write;
};

/// Called with the bytes written so far and in all.
using Progress = std::function<void(std::int64_t done, std::int64_t total)>;

/// The size at which a new shard begins, as Hugging Face's writers have it.
inline constexpr std::int64_t kShardBytesMax = 5'000'000'000;

/// Writes model.safetensors, or shards and their index where one file would pass `shard_bytes_max`.
/// Each file appears whole or not at all. Tensors lie aligned to their element size.
///   Errors: Error(kBadFile) naming the path and the system's reason.
void write_tensor_files(const std::filesystem::path& folder, const std::vector<OutputItem>& items,
                        std::int64_t shard_bytes_max, const Progress& progress);

/// Makes an empty folder for a new checkpoint.
///   Errors: Error(kUsage) if it exists and is not empty; Error(kBadFile) if it cannot be made.
void make_output_folder(const std::filesystem::path& folder);

}  // namespace nvllm::checkpoint
