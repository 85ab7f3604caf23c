#pragma once

// A folder of random weights that can be served like any other checkpoint.

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/json.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/synthetic.h"

namespace nvllm::checkpoint {

/// What to make, and where.
struct MakeModelOptions {
  Json config;                ///< a config.json document: known_shape_config, or a file's
  std::string config_name;    ///< for messages
  std::filesystem::path out;  ///< a new or empty folder
  std::uint64_t seed = kSyntheticSeed;
  SyntheticFormat format = SyntheticFormat::kNvfp4;
  std::int64_t shard_bytes_max = kShardBytesMax;
  Progress progress;  ///< may be empty
};

/// Writes the weights that SyntheticCheckpoint gives (NVFP4 in ModelOpt layout), config.json, and a
/// tokenizer of the 256 bytes and three special tokens, so that the folder can be served.
///   Returns: the bytes of all tensors.
///   Errors: Error(kUsage) if `out` is not empty; Error(kBadFile) or Error(kUnsupported) for a
///           config that cannot be made, with the field.
std::int64_t make_model(const MakeModelOptions& options);

/// tokenizer.json of a byte-level tokenizer without merges: ids 0 to 255 are the bytes, then
/// <|endoftext|>, <|im_start|> and <|im_end|>.
Json byte_tokenizer(Family family);

}  // namespace nvllm::checkpoint
